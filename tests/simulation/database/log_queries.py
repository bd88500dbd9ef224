"""What the queries of engine/log.sql do."""

from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

from msgspec.structs import replace

from tests.simulation.database.conditions import Condition
from tests.simulation.database.errors import (
    SimulationDefectError,
    changed_twice,
    nul_in_text,
    unique_violation,
)
from tests.simulation.database.rows import (
    Record,
    StoredDeadLetter,
    StoredForward,
    StoredRow,
    StoredSnapshot,
    record_type,
)
from tests.simulation.database.tables import ShardTables
from tests.simulation.database.transactions import Transaction

Rows = Sequence[Record]
Given = TypeVar("Given")

_claimed = record_type(
    "shard",
    "lease",
    "epoch",
    "next_offset",
    "last_record",
    "position",
    "published",
    "tree",
    "last_at",
)
_standing = record_type("lease", "next_offset", "position", "schema_version", "database_now")
_count = record_type("count")
_outcome = record_type("command_id", "data")
_loaded = record_type("wallet_id", "state", "data")
_entry = record_type("position", "wallet_id", "type", "occurred_at", "data")
_due = record_type("at", "wallet_id")
_moment = record_type("min")
_tile = record_type("level", "index", "hashes")
_letter = record_type("record_offset", "reason", "detail", "occurred_at", "key", "payload")


def claim(transaction: Transaction, shard: int, lease: Any, owner: str, newest: int) -> Rows:
    row = transaction.shard(shard)
    if row is None or row.schema_version > newest:
        return ()
    transaction.lock(("shards", shard))
    row = replace(
        row,
        lease=lease,
        owner=owner,
        epoch=row.epoch + 1,
        claimed_at=transaction.database.clock(),
        halted=None,
    )
    transaction.set_shard(row)
    return [_claimed(tuple(getattr(row, name) for name in _claimed.columns))]


def read_shard(transaction: Transaction, shard: int) -> Rows:
    row = transaction.shard(shard)
    if row is None:
        return ()
    now = transaction.database.clock()
    return [_standing((row.lease, row.next_offset, row.position, row.schema_version, now))]


def append(transaction: Transaction, conditions: Sequence[Condition], *arguments: Any) -> Rows:
    (shard, lease, _, from_position, to_offset, to_position, last_record, tree, now, published) = (
        arguments[:10]
    )
    # before anything is looked at
    _check_text(arguments[11], arguments[14], *arguments[17:18], *arguments[21:23])
    row = transaction.shard(shard)
    if row is None:
        return [_count((0,))]
    clock = transaction.database.clock()
    if not all(condition(row, arguments, clock) for condition in conditions):
        return [_count((0,))]
    transaction.lock(("shards", shard))
    if more := arguments[16:]:
        # in the order that the server has been seen to do it, which tells what is refused first
        _append_forwards(transaction, shard, *more[9:])
        _append_dead_letters(transaction, shard, now, *more[4:9])
        _change_due(transaction, shard, *more[:4])
    _append_entries(transaction, shard, from_position, now, *arguments[11:16])
    transaction.set_shard(
        replace(
            row,
            next_offset=to_offset,
            position=to_position,
            last_record=last_record,
            tree=tree,
            last_at=now,
            published=max(row.published, published),
            schema_version=max(row.schema_version, arguments[10]),
            appended_lease=lease,
            appended_at=clock,
        )
    )
    return [_count((1,))]


def _append_entries(
    transaction: Transaction,
    shard: int,
    position: int,
    now: Any,
    wallet_ids: Sequence[str],
    versions: Sequence[int | None],
    command_ids: Sequence[bytes],
    types: Sequence[str],
    data: Sequence[bytes],
) -> None:
    if not data:
        return
    if transaction.pending.setdefault(("log", shard), data) is not data:
        raise SimulationDefectError("two appends in one transaction are not simulated")
    tables = transaction.database.tables[shard]
    rows = [
        StoredRow(shard, place, wallet_id, version, command_id, kind, now, entry)
        for place, (wallet_id, version, command_id, kind, entry) in enumerate(
            zip(wallet_ids, versions, command_ids, types, data, strict=True), position
        )
    ]
    transaction.database.trouble.refuse(data)
    tables.check_unique(rows)
    transaction.change(lambda: tables.add(rows))


def _change_due(
    transaction: Transaction,
    shard: int,
    added_at: Sequence[Any],
    added_wallets: Sequence[str],
    removed_at: Sequence[Any],
    removed_wallets: Sequence[str],
) -> None:
    if added_at or removed_at:
        tables = transaction.database.tables[shard]
        added = list(zip(added_at, added_wallets, strict=True))
        removed = list(zip(removed_at, removed_wallets, strict=True))
        if not set(added).isdisjoint(removed):
            raise SimulationDefectError("what is added and removed at once is left open")
        transaction.change(lambda: tables.change_due(added, removed))


def _append_dead_letters(
    transaction: Transaction,
    shard: int,
    now: Any,
    offsets: Sequence[int],
    reasons: Sequence[str],
    details: Sequence[str],
    keys: Sequence[bytes | None],
    payloads: Sequence[bytes | None],
) -> None:
    if not offsets:
        return
    letters = transaction.database.tables[shard].dead_letters
    _check_offsets("dead_letters", shard, offsets, letters)
    rows = {
        offset: StoredDeadLetter(
            shard=shard,
            offset=offset,
            reason=reason,
            detail=detail,
            occurred_at=now,
            key=key,
            payload=payload,
        )
        for offset, reason, detail, key, payload in zip(
            offsets, reasons, details, keys, payloads, strict=True
        )
    }
    transaction.change(lambda: letters.update(rows))


def _append_forwards(
    transaction: Transaction,
    shard: int,
    offsets: Sequence[int],
    homes: Sequence[int],
    home_offsets: Sequence[int],
) -> None:
    if not offsets:
        return
    forwards = transaction.database.tables[shard].forwards
    _check_offsets("forwards", shard, offsets, forwards)
    rows = {
        offset: StoredForward(shard=shard, offset=offset, home=home, home_offset=home_offset)
        for offset, home, home_offset in zip(offsets, homes, home_offsets, strict=True)
    }
    transaction.change(lambda: forwards.update(rows))


def _check_offsets(table: str, shard: int, offsets: Sequence[int], there: Any) -> None:
    seen: set[int] = set()
    for offset in offsets:
        if offset in there or offset in seen:
            raise unique_violation(
                table, f"{table}_pkey", f'(shard, "offset")=({shard}, {offset})'
            )
        seen.add(offset)


def _check_text(*columns: Sequence[str]) -> None:
    for column in columns:
        if any("\0" in text for text in column):
            raise nul_in_text()


def find_outcomes(
    transaction: Transaction, shard: int, ids: Sequence[bytes], bytes_max: int
) -> Rows:
    rows = map(transaction.database.tables[shard].of_command.get, set(ids))
    return [_outcome((row.command_id, row.data[:bytes_max])) for row in rows if row is not None]


def load_wallets(
    transaction: Transaction,
    shard: int,
    wallet_ids: Sequence[str],
    fingerprint: bytes,
    reached: Sequence[int | None],
    events_max: int,
    bytes_max: int,
) -> Rows:
    tables = transaction.database.tables[shard]
    rows: list[Record] = []
    for wallet_id, version in sorted(zip(wallet_ids, reached, strict=True)):
        start, state = version, None
        if start is None:
            snapshot = _usable_snapshot(tables, wallet_id, fingerprint)
            start = 0 if snapshot is None else snapshot.version
            state = None if snapshot is None else snapshot.state
        tail = tables.events_after(wallet_id, start)[:events_max]
        if not tail:
            rows.append(_loaded((wallet_id, state, None)))
        rows.extend(
            _loaded((wallet_id, state if row.version == start + 1 else None, row.data))
            for row in tail
        )
    return _within(rows, bytes_max, lambda row: (row["state"], row["data"]))


def _within(
    rows: Sequence[Record], bytes_max: int, parts: Callable[[Record], Sequence[bytes | None]]
) -> Rows:
    """Rows to the one that reaches the bytes."""
    sizes = [sum(len(part or b"") for part in parts(row)) for row in rows]
    before = accumulate(sizes, initial=0)
    return [
        row for row, bytes_before in zip(rows, before, strict=False) if bytes_before < bytes_max
    ]


def _usable_snapshot(
    tables: ShardTables, wallet_id: str, fingerprint: bytes
) -> StoredSnapshot | None:
    snapshot = tables.snapshots.get(wallet_id)
    if snapshot is None or snapshot.fingerprint != fingerprint:
        return None
    entry = tables.at_position.get(snapshot.position)
    ends_at_it = (
        entry is not None
        and entry.wallet_id == wallet_id
        and entry.version == snapshot.version
        and entry.leaf_hash == snapshot.leaf_hash
    )
    return snapshot if ends_at_it else None


def read_entries(
    transaction: Transaction, shard: int, start: int, stop: int, count_max: int, bytes_max: int
) -> Rows:
    rows = [
        _entry((row.position, row.wallet_id, row.type, row.occurred_at, row.data))
        for row in transaction.database.tables[shard].entries(start, stop, count_max)
    ]
    return _within(rows, bytes_max, lambda row: (row["data"],))


def read_due(transaction: Transaction, shard: int, now: Any, wallets_max: int) -> Rows:
    due = transaction.database.tables[shard].due
    return [_due(place) for place in due[:wallets_max] if place[0] <= now]


def next_due(transaction: Transaction, shard: int) -> Rows:
    due = transaction.database.tables[shard].due
    return [_moment((due[0][0] if due else None,))]


def save_snapshots(
    transaction: Transaction,
    shard: int,
    wallet_ids: Sequence[str],
    versions: Sequence[int],
    positions: Sequence[int],
    leaf_hashes: Sequence[bytes],
    states: Sequence[bytes],
    fingerprint: bytes,
) -> Rows:
    kept = transaction.database.tables[shard].snapshots
    given = [
        StoredSnapshot(
            wallet_id=wallet_id,
            version=version,
            position=position,
            leaf_hash=leaf_hash,
            fingerprint=fingerprint,
            state=state,
        )
        for wallet_id, version, position, leaf_hash, state in zip(
            wallet_ids, versions, positions, leaf_hashes, states, strict=True
        )
    ]

    def gives_way(snapshot: StoredSnapshot) -> bool:
        old = kept.get(snapshot.wallet_id)
        if old is None:
            return True
        return old.version < snapshot.version or old.fingerprint != snapshot.fingerprint

    _upsert(
        transaction,
        given,
        key=lambda snapshot: snapshot.wallet_id,
        gives_way=gives_way,
        put=lambda snapshot: kept.__setitem__(snapshot.wallet_id, snapshot),
    )
    return ()


def partial_tiles(transaction: Transaction, shard: int) -> Rows:
    levels = transaction.database.tables[shard].tiles
    return [
        _tile((level, max(tiles), tiles[max(tiles)])) for level, tiles in sorted(levels.items())
    ]


def save_tiles(
    transaction: Transaction,
    shard: int,
    levels: Sequence[int],
    indexes: Sequence[int],
    hashes: Sequence[bytes],
) -> Rows:
    given = list(zip(levels, indexes, hashes, strict=True))
    kept = transaction.database.tables[shard].tiles

    def gives_way(tile: tuple[int, int, bytes]) -> bool:
        level, index, wider = tile
        narrower = kept.get(level, {}).get(index)
        return narrower is None or len(narrower) < len(wider)

    def put(tile: tuple[int, int, bytes]) -> None:
        level, index, wider = tile
        kept.setdefault(level, {})[index] = wider

    _upsert(transaction, given, key=lambda tile: tile[:2], gives_way=gives_way, put=put)
    return ()


def _upsert(
    transaction: Transaction,
    rows: Sequence[Given],
    *,
    key: Callable[[Given], Hashable],
    gives_way: Callable[[Given], bool],
    put: Callable[[Given], None],
) -> None:
    """INSERT … ON CONFLICT DO UPDATE … WHERE what is there `gives_way`."""
    written: set[Hashable] = set()
    for row in rows:
        if key(row) in written:
            raise changed_twice()
        if gives_way(row):
            written.add(key(row))

    def write() -> None:
        for row in rows:
            if gives_way(row):
                put(row)

    transaction.change(write)


def unpublished_dead_letters(
    transaction: Transaction, shard: int, count_max: int, bytes_max: int
) -> Rows:
    letters = transaction.database.tables[shard].dead_letters
    waiting = sorted(offset for offset, row in letters.items() if row.published_at is None)
    rows = [
        _letter((row.offset, row.reason, row.detail, row.occurred_at, row.key, row.payload))
        for row in map(letters.__getitem__, waiting[:count_max])
    ]
    return _within(rows, bytes_max, lambda row: (row["payload"], row["key"]))


def mark_dead_letters_published(
    transaction: Transaction, shard: int, offsets: Sequence[int]
) -> Rows:
    letters = transaction.database.tables[shard].dead_letters
    now = transaction.database.clock()

    def mark() -> None:
        for offset in offsets:
            if offset in letters:
                letters[offset].published_at = now

    transaction.change(mark)
    return ()


def halt(transaction: Transaction, shard: int, lease: Any, reason: str) -> Rows:
    _check_text((reason,))
    row = transaction.shard(shard)
    if row is not None and row.lease == lease:
        transaction.lock(("shards", shard))
        transaction.set_shard(replace(row, halted=reason))
    return ()


LOG: dict[str, Callable[..., Rows]] = {
    query.__name__: query
    for query in (
        claim,
        read_shard,
        append,
        find_outcomes,
        load_wallets,
        read_entries,
        read_due,
        next_due,
        save_snapshots,
        partial_tiles,
        save_tiles,
        unpublished_dead_letters,
        mark_dead_letters_published,
        halt,
    )
}
