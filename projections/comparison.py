"""Read models held against a replay of the log, shard by shard.

`wallets` and `lots` change in place, so their rows are taken out in one short snapshot together
with their checkpoint, and compared when the replay is there. `transactions` and `postings` only
grow: what is below their checkpoint is compared page by page as the replay passes.

    comparison = await ShardComparison.freeze(connection, shard, await live_sources(connection))
    async for page in read_shard(connection, shard, 0, comparison.stop):
        differences = await comparison.take_in(connection, [decode_entry(r["data"]) for r in page])
    differences = comparison.finish()
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from msgspec import Struct

from engine.replay import read_entry, read_shard
from engine.sql import load_queries
from projections.expected import (
    ExpectedShard,
    LotRow,
    PostingRow,
    TransactionRow,
    WalletRow,
    comparable_metadata,
    posting_rows,
    transaction_row,
)
from projections.models import PROJECTIONS, Projection
from schemas.entries import Entry

Row = WalletRow | LotRow | TransactionRow | PostingRow

_QUERIES = load_queries(Path(__file__).parent / "sql" / "comparison.sql")
_PAGE_ENTRIES: Final = 2_000


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
    # what one entry adds, for a model that only grows
    added: Callable[[Entry], Iterable[Row]] = lambda _: ()
    grows: bool = False

    def read(self, record: asyncpg.Record) -> Row:
        values = dict(record)
        if "metadata" in values:
            values["metadata"] = comparable_metadata(values["metadata"])
        return self.row(**values)

    def key_of(self, row: Row) -> tuple[object, ...]:
        return tuple(getattr(row, name) for name in self.key)


def _transaction_rows(entry: Entry) -> Iterable[Row]:
    row = transaction_row(entry)
    return () if row is None else (row,)


_KINDS: Final[dict[str, _Kind]] = {
    "wallets": _Kind(WalletRow, ("wallet_id",), state=ExpectedShard.wallets),
    "lots": _Kind(LotRow, ("wallet_id", "lot"), state=ExpectedShard.lots),
    "transactions": _Kind(TransactionRow, ("position",), added=_transaction_rows, grows=True),
    "postings": _Kind(PostingRow, ("position", "line"), added=posting_rows, grows=True),
}


class _FrozenState(NamedTuple):
    model: str
    position: int
    rows: list[Row]


class _Growing(NamedTuple):
    source: Source
    position: int


class ShardComparison:
    """One pass over a shard's entries, from the first up to `stop`, in pages of any size."""

    def __init__(
        self, shard: int, states: Sequence[_FrozenState], growing: Sequence[_Growing]
    ) -> None:
        self.expected = ExpectedShard(shard)
        positions = [model.position for model in states] + [model.position for model in growing]
        self.stop = max(positions, default=0)
        self._shard = shard
        self._position = 0
        self._states = sorted(states, key=lambda state: state.position)
        self._growing = growing

    @classmethod
    async def freeze(
        cls, connection: asyncpg.Connection, shard: int, sources: Sequence[Source]
    ) -> "ShardComparison":
        """Take the checkpoints, and the rows of what changes in place, in one short snapshot."""
        states, growing = [], []
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for source in sources:
                name, generation = source.projection.name, source.generation
                position = await connection.fetchval(
                    _QUERIES["checkpoint"], name, generation, shard
                )
                if _KINDS[name].grows:
                    growing.append(_Growing(source, position or 0))
                else:
                    rows = await _read_rows(connection, source, shard)
                    states.append(_FrozenState(name, position or 0, rows))
        return cls(shard, states, growing)

    async def take_in(
        self, connection: asyncpg.Connection, entries: Sequence[Entry]
    ) -> list[Difference]:
        """Go on over the next entries; what differs on the way."""
        first = self._position
        found: list[Difference] = []
        for entry in entries:
            found += self._compare_states(entry.position)
            self.expected.apply(entry)
            self._position = entry.position + 1
        for growing in self._growing:
            found += await self._compare_page(connection, growing, first, entries)
        return found

    def finish(self) -> list[Difference]:
        """What differs after the last entry."""
        return self._compare_states(self.stop)

    def _compare_states(self, position: int) -> list[Difference]:
        found: list[Difference] = []
        while self._states and self._states[0].position <= position:
            state = self._states.pop(0)
            rows = _KINDS[state.model].state(self.expected)
            found += _differences(state.model, self._shard, rows, state.rows)
        return found

    async def _compare_page(
        self,
        connection: asyncpg.Connection,
        growing: _Growing,
        first: int,
        entries: Sequence[Entry],
    ) -> list[Difference]:
        stop = min(self._position, growing.position)
        if stop <= first:
            return []
        name = growing.source.projection.name
        added = _KINDS[name].added
        expected = (row for entry in entries if entry.position < stop for row in added(entry))
        rows = await _read_rows(connection, growing.source, self._shard, first, stop)
        return list(_differences(name, self._shard, expected, rows))


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
    comparison = await ShardComparison.freeze(connection, shard, sources)
    async for page in read_shard(connection, shard, 0, comparison.stop, _PAGE_ENTRIES):
        entries = [read_entry(shard, row["data"]) for row in page]
        for difference in await comparison.take_in(connection, entries):
            yield difference
        on_entries(len(entries))
    for difference in comparison.finish():
        yield difference


async def _read_rows(
    connection: asyncpg.Connection,
    source: Source,
    shard: int,
    start: int | None = None,
    stop: int | None = None,
) -> list[Row]:
    kind = _KINDS[source.projection.name]
    columns = ", ".join(kind.row._fields)
    table = source.projection.table(source.generation)
    if start is None:
        records = await connection.fetch(f"SELECT {columns} FROM {table} WHERE shard = $1", shard)
    else:
        records = await connection.fetch(
            f"SELECT {columns} FROM {table} WHERE shard = $1 AND position >= $2 AND position < $3",
            *(shard, start, stop),
        )
    return [kind.read(record) for record in records]


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
