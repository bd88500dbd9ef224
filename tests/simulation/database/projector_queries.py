"""What the queries of the projector do, and the statements that fill the read models."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from projections.models import PROJECTIONS, Generation, filling
from tests.simulation.database.conditions import Condition
from tests.simulation.database.models import Undo
from tests.simulation.database.rows import Record, record_type
from tests.simulation.database.transactions import Transaction

Rows = Sequence[Record]

GENERATION = 1
"""The only one: rebuilding is not simulated."""

_behind = record_type("shard", "name", "start", "is_new", "stop", "size")
_position = record_type("position")
_live = record_type("name", "generation", "version")


class Checkpoint(Struct, frozen=True):
    """A row of `checkpoints`."""

    name: str
    generation: int
    shard: int
    position: int = 0


def behind(
    transaction: Transaction, names: Sequence[str], generations: Sequence[int], entries_max: int
) -> Rows:
    database = transaction.database
    rows = []
    for shard, row in sorted(database.shards.items()):
        for name, generation in sorted(zip(names, generations, strict=True)):
            checkpoint = database.checkpoints.get((name, generation, shard))
            start = 0 if checkpoint is None else checkpoint.position
            if row.position > start:
                stop = min(row.position, start + entries_max)
                rows.append(_behind((shard, name, start, checkpoint is None, stop, row.position)))
    return rows


def add_checkpoint(transaction: Transaction, name: str, generation: int, shard: int) -> Rows:
    checkpoints = transaction.database.checkpoints
    key = (name, generation, shard)

    def add() -> Undo:
        checkpoints.setdefault(key, Checkpoint(*key))
        return lambda: None

    if generation == GENERATION and name in PROJECTIONS and key not in checkpoints:
        transaction.change(add)
    return ()


def advance(transaction: Transaction, conditions: Sequence[Condition], *arguments: Any) -> Rows:
    name, generation, shard, _, position = arguments
    database = transaction.database
    key = (name, generation, shard)
    checkpoint = transaction.pending.get(key) or database.checkpoints.get(key)
    clock = database.clock()
    if checkpoint is None or not all(
        condition(checkpoint, arguments, clock) for condition in conditions
    ):
        return ()
    transaction.lock(("checkpoints", *key))
    moved = replace(checkpoint, position=position)

    def move() -> Undo:
        before = database.checkpoints[key]
        database.checkpoints[key] = moved
        return lambda: database.checkpoints.__setitem__(key, before)

    transaction.pending[key] = moved
    transaction.change(move)
    transaction.models.add((name, shard))
    return [_position((position,))]


def _apply(names: Sequence[str], statement: str) -> Callable[..., Rows]:
    def apply(transaction: Transaction, shard: int, start: int, stop: int) -> Rows:
        database = transaction.database
        rows = database.tables[shard].entries(start, stop)
        filled = [database.models[name] for name in names]
        for model in filled:
            model.check(statement, rows)
        for model in filled:
            transaction.change(partial(model.statements[statement], rows))
        return ()

    return apply


def live(transaction: Transaction, names: Sequence[str]) -> Rows:
    return [
        _live((name, GENERATION, PROJECTIONS[name].version))
        for name in names
        if name in PROJECTIONS
    ]


PROJECTOR: dict[str, Callable[..., Rows]] = {
    query.__name__: query for query in (behind, add_checkpoint, advance)
}
CATALOG: dict[str, Callable[..., Rows]] = {"live": live}


def fillings() -> dict[str, tuple[str, Callable[..., Rows]]]:
    """The statements that take entries in, by their text: (name, what it does)."""
    found = {}
    for together in _subsets(sorted(PROJECTIONS)):
        models = [Generation(PROJECTIONS[name], GENERATION) for name in together]
        *alone, joint = filling(models)
        found[joint] = ("apply", _apply(together, "apply"))
        first = [(model, name) for model in together for name in _first(model)]
        for (model, name), text in zip(first, alone, strict=True):
            found[text] = (name, _apply([model], name))
    return found


def _subsets(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for count in range(1, len(names) + 1):
        yield from combinations(names, count)


def _first(model: str) -> list[str]:
    return [name for name in PROJECTIONS[model].queries if name.startswith("apply_")]
