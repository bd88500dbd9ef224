"""Filling generations of read models from the log: one short transaction per shard and range.

Models that stand at the same position of a shard are filled together, so that the JSON of an entry
is read once for all of them. Each has a checkpoint of its own all the same.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import asyncpg

from engine.sql import load_queries
from projections.models import Generation, filling

RANGE_ENTRIES_MAX: Final = 5_000
"""So many entries of the log at most are taken in by one transaction."""

_QUERIES = load_queries(Path(__file__).parent / "sql" / "projector.sql")
_Item = TypeVar("_Item")


class Range(NamedTuple):
    """The next entries of a shard that some generations lack: [start, stop).

    The log had `size` entries when the range was read.
    """

    models: tuple[Generation, ...]
    shard: int
    start: int
    stop: int
    size: int


class ElsewhereError(Exception):
    """A checkpoint is not where the range starts.

    Another projector was there first, or the generation is gone.
    """


async def read_behind(
    connection: asyncpg.Connection,
    models: Iterable[Generation],
    entries_max: int = RANGE_ENTRIES_MAX,
) -> list[Range]:
    """The next range of every shard that any of the models is behind on, by shard.

    Models that stand at the same position there share it. `models` has one generation of each.
    """
    of_name = {model.projection.name: model for model in models}
    generations = [model.number for model in of_name.values()]
    together: defaultdict[tuple[int, ...], list[Generation]] = defaultdict(list)
    for row in await connection.fetch(_QUERIES["behind"], list(of_name), generations, entries_max):
        model = of_name[row["name"]]
        if row["is_new"]:
            await connection.execute(
                _QUERIES["add_checkpoint"], row["name"], model.number, row["shard"]
            )
        together[row["shard"], row["start"], row["stop"], row["size"]].append(model)
    return [Range(tuple(models), *place) for place, models in together.items()]


async def take_in(connection: asyncpg.Connection, entries: Range) -> bool:
    """Take in a range and move the checkpoints with it, in one transaction.

    False, with nothing done, if one of them is elsewhere.
    """
    try:
        async with connection.transaction(isolation="read_committed"):
            await advance(connection, entries)
    except ElsewhereError:
        return False
    return True


async def advance(connection: asyncpg.Connection, entries: Range) -> None:
    """As `take_in`, inside the caller's transaction; raises ElsewhereError, to be rolled back."""
    # first of all, and of all models in the same order, so that two projectors queue here; and
    # every statement after it stops at `stop`, since each sees more of the log than the one before
    for projection, generation in sorted(entries.models, key=lambda model: model.projection.name):
        moved = await connection.fetchval(
            _QUERIES["advance"],
            projection.name,
            generation,
            entries.shard,
            entries.start,
            entries.stop,
        )
        if moved is None:
            raise ElsewhereError
    for statement in filling(entries.models):
        await connection.execute(statement, entries.shard, entries.start, entries.stop)


async def share_out(
    connections: Sequence[asyncpg.Connection],
    items: Iterable[_Item],
    work: Callable[[asyncpg.Connection, _Item], Awaitable[None]],
) -> None:
    """Do the work for each item, in order, on as many connections at a time; raises what it raises."""
    waiting = iter(items)

    async def work_off(connection: asyncpg.Connection) -> None:
        for item in waiting:
            await work(connection, item)

    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(work_off(connection))
    except ExceptionGroup as errors:
        # what ends one ends the other, so that the first is the cause
        raise errors.exceptions[0] from errors
