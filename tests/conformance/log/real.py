"""The suite's side that is real: a server of PostgreSQL, which the engine reaches through a network."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import asyncpg

from cli.stack.postgres import Postgres
from engine.log import ShardLog
from engine.settings import Settings
from tests.conformance.log.databases import Contents, Row, lasting
from tests.conformance.log.network import Network
from tests.conformance.log.plain_models import COLUMNS, comparable_row
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder


class RealDatabase:
    """A database on a real server, which the engine reaches through a network."""

    def __init__(self, server: Postgres, network: Network) -> None:
        self._server = server
        self._url = server.database_url
        self._network = network
        self._connected: list[asyncpg.Connection] = []
        self.settings = Settings(database_url=network.url)

    async def open(self, shard: int = 0) -> ShardLog:
        return await ShardLog.connect(shard, self.settings)

    async def connect(self, **session: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._url, server_settings=session)
        self._connected.append(connection)
        return connection

    def close(self) -> None:
        """End the sessions that a failed test has left open."""
        for connection in self._connected:
            connection.terminate()

    async def contents(self, shard: int = 0) -> Contents:
        async with connection_to(self._url) as connection:
            rows = {name: await connection.fetch(query, shard) for name, query in _READ.items()}
            row = await connection.fetchrow("SELECT * FROM shards WHERE shard = $1", shard)
        return Contents(
            shard=lasting(dict(row or {})),
            **{name: [tuple(row) for row in found] for name, found in rows.items()},
        )

    async def set_shard(self, shard: int = 0, **columns: Any) -> None:
        for column, value in columns.items():
            await self._execute(f"UPDATE shards SET {column} = $2 WHERE shard = $1", shard, value)

    async def set_data(self, shard: int, position: int, data: bytes) -> None:
        await self._execute("ALTER TABLE log DISABLE TRIGGER log_is_append_only")
        await self._execute(
            "UPDATE log SET data = $3 WHERE shard = $1 AND position = $2", shard, position, data
        )

    async def add_shard(self, shard: int) -> None:
        await self._execute("INSERT INTO shards (shard) VALUES ($1)", shard)

    async def write(self, history: HistoryBuilder, count: int | None = None) -> None:
        async with connection_to(self._url) as connection:
            await history.write(connection, count)

    async def model(self, name: str, shard: int = 0) -> list[Row]:
        columns = COLUMNS[name]
        async with connection_to(self._url) as connection:
            rows = await connection.fetch(
                f"SELECT {', '.join(columns)} FROM {name}_1 WHERE shard = $1", shard
            )
        return sorted((comparable_row(columns, tuple(row)) for row in rows), key=repr)

    async def checkpoint(self, name: str, shard: int = 0) -> int | None:
        async with connection_to(self._url) as connection:
            position: int | None = await connection.fetchval(
                "SELECT position FROM checkpoints"
                " WHERE name = $1 AND generation = 1 AND shard = $2",
                name,
                shard,
            )
        return position

    def installed(self) -> AbstractContextManager[object]:
        return nullcontext()

    async def waiting(self) -> int:
        async with connection_to(self._url) as connection:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        return count

    def lose_next_request(self) -> None:
        self._network.lose_next_request()

    def lose_next_reply(self) -> None:
        self._network.lose_next_reply()

    def cut(self) -> None:
        self._network.cut()

    async def crash(self) -> None:
        await self._server.kill()
        await self._server.start()

    async def _execute(self, query: str, *arguments: Any) -> None:
        async with connection_to(self._url) as connection:
            await connection.execute(query, *arguments)


_READ = {
    "log": "SELECT position, wallet_id, version, command_id, type, occurred_at, data"
    " FROM log WHERE shard = $1 ORDER BY position",
    "due": "SELECT at, wallet_id FROM due WHERE shard = $1 ORDER BY at, wallet_id",
    "dead_letters": 'SELECT "offset", reason, detail, occurred_at, key, payload,'
    ' published_at IS NOT NULL FROM dead_letters WHERE shard = $1 ORDER BY "offset"',
    "forwards": 'SELECT "offset", home, home_offset FROM forwards'
    ' WHERE shard = $1 ORDER BY "offset"',
    "snapshots": "SELECT wallet_id, version, position, leaf_hash, fingerprint, state"
    " FROM snapshots WHERE shard = $1 ORDER BY wallet_id",
    "tiles": "SELECT level, index, hashes FROM tiles WHERE shard = $1 ORDER BY level, index",
}
