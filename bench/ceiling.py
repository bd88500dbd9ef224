"""The database's own limit: the same rows into the same table, and nothing else to do."""

import asyncio
import time
from typing import Any, NamedTuple

import asyncpg

from engine.migrate import migrate

_INSERT = """
INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
SELECT $1, $2 + r.place - 1, r.wallet_id, r.version, r.command_id, r.type, r.occurred_at, r.data
  FROM unnest($3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::timestamptz[], $8::bytea[])
       WITH ORDINALITY AS r (wallet_id, version, command_id, type, occurred_at, data, place)
"""
_SESSION = {"synchronous_commit": "on", "jit": "off"}

_BATCH_ROWS = 4_000
_CONNECTIONS = (1, 2, 4)

Batch = tuple[int, int, list[Any]]
"""Shard, first position, and the columns of the rows from there on."""


class Ceiling(NamedTuple):
    """What the best number of connections brought."""

    rows_per_s: float
    connections: int


async def read_batches(database_url: str, rows_max: int) -> dict[int, list[Batch]]:
    """The last rows of the log by shard, in batches ready to be inserted."""
    connection = await asyncpg.connect(database_url)
    try:
        shards = [row[0] for row in await connection.fetch("SELECT shard FROM shards")]
        batches: dict[int, list[Batch]] = {}
        for shard in shards:
            rows = await connection.fetch(
                "SELECT wallet_id, version, command_id, type, occurred_at, data FROM log"
                " WHERE shard = $1 ORDER BY position DESC LIMIT $2",
                shard,
                rows_max // len(shards),
            )
            rows.reverse()
            batches[shard] = [
                (shard, start, [list(column) for column in zip(*part, strict=True)])
                for start in range(0, len(rows), _BATCH_ROWS)
                if (part := rows[start : start + _BATCH_ROWS])
            ]
        return batches
    finally:
        await connection.close()


async def best_rows_per_second(server_url: str, batches: dict[int, list[Batch]]) -> Ceiling:
    """The most that any number of connections inserts, each number alone into an empty log."""
    return max(
        [
            Ceiling(await _rows_per_second(server_url, batches, connections), connections)
            for connections in _CONNECTIONS
        ]
    )


async def _rows_per_second(
    server_url: str, batches: dict[int, list[Batch]], connections: int
) -> float:
    name = f"ceiling_{connections}"
    admin = await asyncpg.connect(server_url)
    await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.execute(f"CREATE DATABASE {name}")
    url = server_url.rpartition("/")[0] + f"/{name}"
    await migrate(url)
    work = asyncio.Queue[Batch]()
    # each shard's batches in turn, as several engines would append them
    for turn in range(max(map(len, batches.values()))):
        for shard_batches in batches.values():
            if turn < len(shard_batches):
                work.put_nowait(shard_batches[turn])
    rows = sum(len(batch[2][0]) for part in batches.values() for batch in part)
    pool = [await asyncpg.connect(url, server_settings=_SESSION) for _ in range(connections)]
    try:
        await admin.execute("CHECKPOINT")
        start = time.perf_counter()
        await asyncio.gather(*(_insert(connection, work) for connection in pool))
        return rows / (time.perf_counter() - start)
    finally:
        for connection in pool:
            await connection.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def _insert(connection: asyncpg.Connection, work: asyncio.Queue[Batch]) -> None:
    while not work.empty():
        shard, start, columns = work.get_nowait()
        await connection.execute(_INSERT, shard, start, *columns)
