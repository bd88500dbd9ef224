"""The restored log itself: is it whole, and the one that the shard's row tells of?"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from engine.log import ShardRow
from engine.merkle import Frontier, MerkleError
from engine.rollforward.errors import HistoryForkedError, LogDamagedError, RollForwardError
from engine.rollforward.succession import Published
from engine.sql import load_queries
from schemas.entries import SCHEMA_VERSION
from schemas.instants import to_text

QUERIES: Final = load_queries(Path(__file__).with_name("rollforward.sql"))
_PAGE_ENTRIES: Final = 5_000

OnHashed = Callable[[int], None]
"""Hears how many entries have been hashed."""


async def shard_rows(connection: asyncpg.Connection) -> list[ShardRow]:
    """Every shard as it stands; raises RollForwardError if a newer release has written one."""
    rows = []
    for record in await connection.fetch(QUERIES["shard_rows"]):
        fields = dict(record)
        if fields.pop("schema_version") > SCHEMA_VERSION:
            raise RollForwardError(
                f"Shard {record['shard']} was written by a newer release: roll forward with that"
                " one."
            )
        rows.append(ShardRow(**fields))
    return rows


async def check_log(connection: asyncpg.Connection, row: ShardRow, on_hashed: OnHashed) -> None:
    """Compute the tree anew from the log; raises LogDamagedError unless it is the row's."""
    frontier = await hash_log(connection, row.shard, Frontier(), row.position, on_hashed)
    last = await connection.fetchval(QUERIES["last_position"], row.shard)
    size = 0 if last is None else last + 1
    if (frontier.size, size) != (row.position, row.position):
        raise _damaged(row, f"it has entries up to {size - 1}, and none at {frontier.size}")
    try:
        same = frontier.to_bytes() == row.frontier.to_bytes()
    except MerkleError:
        same = False
    if not same:
        raise _damaged(row, "its entries come to another Merkle root")


async def hash_log(
    connection: asyncpg.Connection,
    shard: int,
    frontier: Frontier,
    stop: int,
    on_hashed: OnHashed,
) -> Frontier:
    """Extend the tree by the log's entries up to `stop` (exclusive), or the first that is missing."""
    while frontier.size < stop:
        rows = await connection.fetch(
            QUERIES["leaf_hashes"], shard, frontier.size, stop, _PAGE_ENTRIES
        )
        whole = [row["position"] for row in rows] == [
            *range(frontier.size, frontier.size + len(rows))
        ]
        if not rows or not whole:
            break
        frontier.extend(row["leaf_hash"] for row in rows)
        on_hashed(frontier.size)
    return frontier


async def compare_with_log(
    connection: asyncpg.Connection, topic: str, shard: int, published: Sequence[Published]
) -> None:
    """Raises HistoryForkedError if the log has other bytes at one of these positions."""
    positions = [each.position for each in published]
    rows = await connection.fetch(QUERIES["entries_at"], shard, positions)
    stored = {row["position"]: row for row in rows}
    for each in published:
        row = stored.get(each.position)
        if row is None or row["data"] != each.data:
            before = "that position" if row is None else to_text(row["occurred_at"])
            raise HistoryForkedError(
                f"{topic}, partition {shard}, offset {each.offset} has another entry for position"
                f" {each.position} than the log: this database went on by itself after it had"
                " lost history, or belongs to other topics. Restore one to a point before"
                f" {before}, and roll that one forward."
            )


def _damaged(row: ShardRow, what: str) -> LogDamagedError:
    return LogDamagedError(
        f"The log of shard {row.shard} is not the one that its row tells of, which has"
        f" {row.position} entries: {what}. The copy is not whole: restore it again, or another"
        " one; `wallet verify --no-kafka` names the entry."
    )
