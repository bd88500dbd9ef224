"""What the queries of engine/replay.sql and engine/receipts.sql do."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from tests.simulation.database.rows import Record, StoredRow, record_type
from tests.simulation.database.transactions import Transaction

Rows = Sequence[Record]

_count = record_type("partitions")
_size = record_type("shard", "position")
_full = record_type(
    "position", "wallet_id", "version", "command_id", "type", "occurred_at", "data"
)
_position = record_type("position")
_event = record_type("version", "occurred_at", "data")
_least = record_type("least")
_clocks = record_type("database_now", "last_at")
_outcome = record_type("place", "outcome", "conflict")
_dead = record_type("shard", "record_offset", "reason", "detail")
_forward = record_type("shard", "record_offset", "home", "home_offset")


def partitions(transaction: Transaction) -> Rows:
    return [_count((len(transaction.database.shards),))]


def shard_sizes(transaction: Transaction) -> Rows:
    shards = sorted(transaction.database.shards.items())
    return [_size((shard, row.position)) for shard, row in shards]


def shard_entries(
    transaction: Transaction, shard: int, start: int, stop: int, count_max: int
) -> Rows:
    return list(map(_whole, transaction.database.tables[shard].entries(start, stop, count_max)))


def wallet_positions(transaction: Transaction, shard: int, wallet_id: str, start: int) -> Rows:
    return [
        _position((row.position,))
        for row in transaction.database.tables[shard].log
        if row.wallet_id == wallet_id and row.position >= start
    ]


def entries_at(transaction: Transaction, shard: int, positions: Sequence[int]) -> Rows:
    rows = map(transaction.database.tables[shard].at_position.get, sorted(set(positions)))
    return [_whole(row) for row in rows if row is not None]


def wallet_events(
    transaction: Transaction, shard: int, wallet_id: str, version: int, until: Any, page: int
) -> Rows:
    rows = transaction.database.tables[shard].events_after(wallet_id, version)
    return [
        _event((row.version, row.occurred_at, row.data))
        for row in rows
        if until is None or row.occurred_at <= until
    ][:page]


def final_before(transaction: Transaction, after: timedelta, behind: timedelta, name: str) -> Rows:
    database = transaction.database
    appending = [
        session.begun_at - behind
        for session in database.sessions
        if session.settings.get("application_name") == name and session.begun_at is not None
    ]
    return [_least((min([database.clock() - after, *appending]),))]


def clocks(transaction: Transaction, shard: int) -> Rows:
    row = transaction.shard(shard)
    return [_clocks((transaction.database.clock(), None if row is None else row.last_at))]


def outcomes(
    transaction: Transaction,
    shards: Sequence[int],
    offsets: Sequence[int],
    command_ids: Sequence[bytes | None],
    conflict_ids: Sequence[bytes | None],
) -> Rows:
    rows = []
    wanted = zip(shards, offsets, command_ids, conflict_ids, strict=True)
    for place, (shard, offset, command_id, conflict_id) in enumerate(wanted, 1):
        standing = transaction.database.shards.get(shard)
        if standing is None or standing.next_offset <= offset:
            continue
        of_command = transaction.database.tables[shard].of_command
        found = [
            None if identity is None or (row := of_command.get(identity)) is None else row.data
            for identity in (command_id, conflict_id)
        ]
        rows.append(_outcome((place, *found)))
    return rows


def dead_letters_at(
    transaction: Transaction, shards: Sequence[int], offsets: Sequence[int]
) -> Rows:
    tables = transaction.database.tables
    return [
        _dead((shard, offset, letter.reason, letter.detail))
        for shard, offset in zip(shards, offsets, strict=True)
        if shard in tables and (letter := tables[shard].dead_letters.get(offset)) is not None
    ]


def forwards_at(transaction: Transaction, shards: Sequence[int], offsets: Sequence[int]) -> Rows:
    tables = transaction.database.tables
    return [
        _forward((shard, offset, forward.home, forward.home_offset))
        for shard, offset in zip(shards, offsets, strict=True)
        if shard in tables and (forward := tables[shard].forwards.get(offset)) is not None
    ]


def _whole(row: StoredRow) -> Record:
    return _full(
        (
            row.position,
            row.wallet_id,
            row.version,
            row.command_id,
            row.type,
            row.occurred_at,
            row.data,
        )
    )


REPLAY: dict[str, Callable[..., Rows]] = {
    query.__name__: query
    for query in (
        partitions,
        shard_sizes,
        shard_entries,
        wallet_positions,
        entries_at,
        wallet_events,
        clocks,
        final_before,
    )
}
RECEIPTS: dict[str, Callable[..., Rows]] = {
    query.__name__: query for query in (outcomes, dead_letters_at, forwards_at)
}
