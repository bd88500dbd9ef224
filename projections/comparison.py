"""Read models held against a replay of the log, shard by shard.

`wallets` and `lots` change in place, so their rows are taken out in one short snapshot together
with their checkpoint, and compared when the replay is there. `transactions` and `postings` only
grow: what is below their checkpoint is compared page by page as the replay passes. What has to be
kept meanwhile is in a spool.

    sources = await live_sources(connection)
    comparison = await ShardComparison.freeze(connection, shard, sources, spool)
    async for page in read_shard(connection, shard, 0, comparison.stop):
        differences = await comparison.take_in(connection, [decode_entry(r["data"]) for r in page])
    differences = comparison.finish()
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from engine.decider import evolve
from engine.replay import read_entry, read_shard
from engine.sql import load_queries
from projections.expected import (
    Columns,
    Evolve,
    ExpectedShard,
    LotRow,
    PostingRow,
    TransactionRow,
    WalletRow,
    posting_rows,
    transaction_rows,
)
from projections.models import PROJECTIONS, Projection
from projections.spool import Spool
from schemas.entries import Entry

Row = WalletRow | LotRow | TransactionRow | PostingRow

_QUERIES = load_queries(Path(__file__).parent / "sql" / "comparison.sql")
_PAGE_ENTRIES: Final = 2_000
_DIFFERENCES_MAX: Final = 1_000

_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.Decoder(Columns).decode


class Source(NamedTuple):
    """One generation of a read model."""

    projection: Projection
    generation: int


class Difference(Struct, frozen=True):
    """A row that is not what a replay gives: missing (`found` is None), extra, or other."""

    model: str
    shard: int
    expected: Row | None
    found: Row | None

    def __str__(self) -> str:
        row = self.expected or self.found
        if row is None:
            return f"{self.model}, shard {self.shard}"
        names = ", ".join(f"{name} {getattr(row, name)}" for name in _KINDS[self.model].key)
        return f"{self.model}, shard {self.shard}, {names}: {self._what()}"

    def _what(self) -> str:
        if self.found is None:
            return "the row is missing"
        if self.expected is None:
            return "the row should not be there"
        pairs = zip(self.expected._fields, self.expected, self.found, strict=True)
        return "; ".join(
            f"{name} is {found!r}, a replay gives {expected!r}"
            for name, expected, found in pairs
            if expected != found
        )


class _Kind(NamedTuple):
    row: type[Row]
    key: tuple[str, ...]
    # what the replay says at the checkpoint, for a model that changes in place
    state: Callable[[ExpectedShard], Iterable[Row]] = lambda _: ()
    # what entries add, for a model that only grows
    added: Callable[[Iterable[Entry]], list[Columns]] = lambda _: []
    grows: bool = False

    def thaw(self, data: bytes) -> Row:
        return self.row._make(_unpack(data))

    def rows(self, columns: Iterable[Columns]) -> list[Row]:
        return [self.row._make(each) for each in columns]

    def key_of(self, row: Row) -> tuple[Any, ...]:
        return tuple(getattr(row, name) for name in self.key)


_KINDS: Final[dict[str, _Kind]] = {
    "wallets": _Kind(WalletRow, ("wallet_id",), state=ExpectedShard.wallets),
    "lots": _Kind(LotRow, ("wallet_id", "lot"), state=ExpectedShard.lots),
    "transactions": _Kind(TransactionRow, ("position",), added=transaction_rows, grows=True),
    "postings": _Kind(PostingRow, ("position", "line"), added=posting_rows, grows=True),
}


class FrozenModel(Struct, frozen=True):
    """A generation of a read model, and how far it had come."""

    model: str
    generation: int
    position: int


class Comparing(Struct, kw_only=True):
    """Where a comparison stands: entries below `position` are in; `states` are still to come."""

    stop: int
    position: int
    states: list[FrozenModel]
    growing: list[FrozenModel]


class ShardComparison:
    """One pass over a shard's entries, from the first up to `stop`, in pages of any size.

    `at` says where it stands; with that and its spool it can be taken up again.
    """

    def __init__(self, shard: int, spool: Spool, at: Comparing, evolved: Evolve = evolve) -> None:
        self.at = at
        self.expected = ExpectedShard(shard, spool, evolved)
        self._shard = shard
        self._spool = spool

    @property
    def stop(self) -> int:
        """How many entries have to be taken in."""
        return self.at.stop

    @classmethod
    async def freeze(
        cls,
        connection: asyncpg.Connection,
        shard: int,
        sources: Sequence[Source],
        spool: Spool,
    ) -> "ShardComparison":
        """Take the checkpoints, and the rows of what changes in place, in one short snapshot."""
        states, growing = [], []
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for source in sources:
                name, generation = source.projection.name, source.generation
                position = await connection.fetchval(
                    _QUERIES["checkpoint"], name, generation, shard
                )
                frozen = FrozenModel(name, generation, position or 0)
                if _KINDS[name].grows:
                    growing.append(frozen)
                else:
                    await _take_out(connection, source, shard, spool)
                    states.append(frozen)
        at = Comparing(
            stop=max((model.position for model in states + growing), default=0),
            position=0,
            states=sorted(states, key=lambda model: model.position),
            growing=growing,
        )
        return cls(shard, spool, at)

    async def take_in(
        self, connection: asyncpg.Connection, entries: Sequence[Entry]
    ) -> list[Difference]:
        """Go on over the next entries; what differs on the way, up to a bound for each model."""
        first = self.at.position
        found: list[Difference] = []
        states = self.at.states
        for entry in entries:
            if states and states[0].position <= entry.position:
                found += self._compare_states(entry.position)
            self.expected.apply(entry)
        if entries:
            self.at.position = entries[-1].position + 1
        for growing in self.at.growing:
            found += await self._compare_page(connection, growing, first, entries)
        return found

    def finish(self) -> list[Difference]:
        """What differs after the last entry."""
        return self._compare_states(self.stop)

    def _compare_states(self, position: int) -> list[Difference]:
        found: list[Difference] = []
        while self.at.states and self.at.states[0].position <= position:
            model = self.at.states.pop(0).model
            expected = _KINDS[model].state(self.expected)
            rows = map(_KINDS[model].thaw, self._spool.rows(f"frozen_{model}").values())
            # if each row is wrong, the first so many tell as much as all of them
            found += islice(_merged(model, self._shard, expected, rows), _DIFFERENCES_MAX)
        return found

    async def _compare_page(
        self,
        connection: asyncpg.Connection,
        growing: FrozenModel,
        first: int,
        entries: Sequence[Entry],
    ) -> list[Difference]:
        stop = min(self.at.position, growing.position)
        if stop <= first:
            return []
        name = growing.model
        kind = _KINDS[name]
        expected = kind.added(entry for entry in entries if entry.position < stop)
        source = Source(PROJECTIONS[name], growing.generation)
        records = await _read_rows(connection, source, self._shard, first, stop)
        # all at once, in the same order; row by row only to say which of them differ
        if records == expected:
            return []
        found = _differences(name, self._shard, kind.rows(expected), kind.rows(records))
        return list(found)


async def live_sources(connection: asyncpg.Connection) -> list[Source]:
    """What readers see now of every read model of this release."""
    rows = await connection.fetch(_QUERIES["live_generations"])
    return [
        Source(PROJECTIONS[row["name"]], row["generation"])
        for row in rows
        if row["name"] in PROJECTIONS
    ]


async def compare_shard(
    connection: asyncpg.Connection,
    shard: int,
    sources: Sequence[Source],
    on_entries: Callable[[int], None] = lambda _: None,
) -> AsyncGenerator[Difference, None]:
    """What differs in one shard, as it is found; `on_entries` hears how many entries were read."""
    with Spool() as spool:
        comparison = await ShardComparison.freeze(connection, shard, sources, spool)
        async for page in read_shard(connection, shard, 0, comparison.stop, _PAGE_ENTRIES):
            entries = [read_entry(shard, row["data"]) for row in page]
            for difference in await comparison.take_in(connection, entries):
                yield difference
            on_entries(len(entries))
        for difference in comparison.finish():
            yield difference


async def _take_out(
    connection: asyncpg.Connection, source: Source, shard: int, spool: Spool
) -> None:
    name = source.projection.name
    columns = ", ".join(_KINDS[name].row._fields)
    query = f"SELECT {columns} FROM {source.projection.table(source.generation)} WHERE shard = $1"
    frozen = spool.rows(f"frozen_{name}")
    cursor = await connection.cursor(query, shard)
    while records := await cursor.fetch(_PAGE_ENTRIES):
        frozen.put(
            (record["wallet_id"], record.get("lot", 0), _pack(tuple(record))) for record in records
        )


async def _read_rows(
    connection: asyncpg.Connection, source: Source, shard: int, start: int, stop: int
) -> list[Any]:
    """Records, which equal tuples of the same values."""
    kind = _KINDS[source.projection.name]
    columns, order = ", ".join(kind.row._fields), ", ".join(kind.key)
    table = source.projection.table(source.generation)
    return await connection.fetch(
        f"SELECT {columns} FROM {table} WHERE shard = $1 AND position >= $2 AND position < $3"
        f" ORDER BY {order}",
        *(shard, start, stop),
    )


def _merged(
    model: str, shard: int, expected: Iterable[Row], found: Iterable[Row]
) -> Iterator[Difference]:
    """As `_differences`, of rows that stand in the order of their keys, one at a time."""
    key_of = _KINDS[model].key_of
    ours, theirs = iter(expected), iter(found)
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if left == right:
            left, right = next(ours, None), next(theirs, None)
        elif right is None or (left is not None and key_of(left) < key_of(right)):
            yield Difference(model, shard, left, None)
            left = next(ours, None)
        elif left is None or key_of(right) < key_of(left):
            yield Difference(model, shard, None, right)
            right = next(theirs, None)
        else:
            yield Difference(model, shard, left, right)
            left, right = next(ours, None), next(theirs, None)


def _differences(
    model: str, shard: int, expected: Iterable[Row], found: Iterable[Row]
) -> Iterator[Difference]:
    kind = _KINDS[model]
    left = {kind.key_of(row): row for row in found}
    for row in expected:
        other = left.pop(kind.key_of(row), None)
        if other != row:
            yield Difference(model, shard, row, other)
    for row in left.values():
        yield Difference(model, shard, None, row)
