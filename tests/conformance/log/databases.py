"""The two databases that the log runs on, as one port: the real PostgreSQL and the simulation."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol
from unittest.mock import patch

import asyncpg
from msgspec import Struct
from msgspec.structs import asdict, astuple

from cli.stack.postgres import Postgres
from engine.log import ShardLog
from engine.settings import Settings
from projections.expected import comparable_metadata
from schemas.entries import Entry, encode_entry
from schemas.events import TAGS
from tests.conformance.log.network import Network
from tests.simulation.database import SimulatedDatabase
from tests.simulation.database.errors import lost
from tests.simulation.database.models import (
    LotRow,
    Model,
    PostingRow,
    TransactionRow,
    WalletRow,
)
from tests.simulation.database.rows import ShardState, StoredRow
from tests.simulation.database.tables import ShardTables
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder

Row = tuple[Any, ...]
SHARDS = 2


class Contents(Struct):
    """All that a shard has. Leases and times of the database's own clock are left out."""

    shard: dict[str, Any]
    log: list[Row]
    due: list[Row]
    dead_letters: list[Row]
    forwards: list[Row]
    snapshots: list[Row]
    tiles: list[Row]


class LogDatabase(Protocol):
    """What the suite asks of a database, besides the connections that the engine opens itself."""

    settings: Settings

    async def open(self, shard: int = 0) -> ShardLog:
        """The engine's own way in."""
        ...

    async def connect(self, **session: str) -> asyncpg.Connection:
        """A session beside the engine's."""
        ...

    async def contents(self, shard: int = 0) -> Contents:
        """What is committed."""
        ...

    async def set_shard(self, shard: int = 0, **columns: Any) -> None: ...

    async def set_data(self, shard: int, position: int, data: bytes) -> None:
        """Tamper with an entry."""
        ...

    async def add_shard(self, shard: int) -> None: ...

    async def write(self, history: HistoryBuilder, count: int | None = None) -> None:
        """Put the next `count` entries of a history (all there are) into the log."""
        ...

    async def model(self, name: str, shard: int = 0) -> list[Row]:
        """What a read model has of a shard, in an order of its own."""
        ...

    async def checkpoint(self, name: str, shard: int = 0) -> int | None:
        """How far a read model has come."""
        ...

    def installed(self) -> AbstractContextManager[object]:
        """Meanwhile asyncpg.connect leads here."""
        ...

    async def waiting(self) -> int:
        """How many sessions wait for a row."""
        ...

    def lose_next_request(self) -> None:
        """The next thing that a client sends does not arrive, and its connection is gone."""
        ...

    def lose_next_reply(self) -> None:
        """The next thing that the server sends does not arrive, and the connection is gone."""
        ...

    def cut(self) -> None:
        """Break every connection of the engine's; what the server is doing goes on."""
        ...

    async def crash(self) -> None:
        """Kill the server and start it again."""
        ...


@asynccontextmanager
async def shard_log(database: LogDatabase, shard: int = 0) -> AsyncIterator[ShardLog]:
    """One lease's log, closed at the end."""
    log = await database.open(shard)
    try:
        yield log
    finally:
        log.close()


class RealDatabase:
    """A database on a real server, which the engine reaches through a network."""

    def __init__(self, server: Postgres, network: Network) -> None:
        self._server = server
        self._url = server.database_url
        self._network = network
        self.settings = Settings(database_url=network.url)

    async def open(self, shard: int = 0) -> ShardLog:
        return await ShardLog.connect(shard, self.settings)

    async def connect(self, **session: str) -> asyncpg.Connection:
        return await asyncpg.connect(self._url, server_settings=session)

    async def contents(self, shard: int = 0) -> Contents:
        async with connection_to(self._url) as connection:
            rows = {name: await connection.fetch(query, shard) for name, query in _READ.items()}
            row = await connection.fetchrow("SELECT * FROM shards WHERE shard = $1", shard)
        return Contents(
            shard=_lasting(dict(row or {})),
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
        columns = _COLUMNS[name]
        async with connection_to(self._url) as connection:
            rows = await connection.fetch(
                f"SELECT {', '.join(columns)} FROM {name}_1 WHERE shard = $1", shard
            )
        return sorted((_comparable(columns, tuple(row)) for row in rows), key=repr)

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


_PASSING = ("lease", "appended_lease", "claimed_at")


_COLUMNS = {
    "wallets": WalletRow.__struct_fields__,
    "transactions": TransactionRow.__struct_fields__,
    "lots": LotRow.__struct_fields__,
    "postings": PostingRow.__struct_fields__,
}


def plain_rows(model: Model, name: str, shard: int) -> list[Row]:
    """The rows of a shard in a plainly filled model, as `LogDatabase.model` gives them."""
    columns = _COLUMNS[name]
    rows: list[Any] = [row for row in model.rows.values() if row.shard == shard]
    return sorted((_comparable(columns, astuple(row)) for row in rows), key=repr)


def _comparable(columns: tuple[str, ...], row: Row) -> Row:
    values = zip(columns, row, strict=True)
    return tuple(
        sorted(comparable_metadata(value).items()) if column == "metadata" else value
        for column, value in values
    )


def stored(entry: Entry) -> StoredRow:
    """The row of `log` that an engine would have written for an entry."""
    return StoredRow(
        entry.shard,
        entry.position,
        entry.wallet_id,
        entry.version,
        bytes.fromhex(entry.command_id),
        TAGS[type(entry.event)],
        entry.occurred_at,
        encode_entry(entry),
    )


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _PASSING}


class _Lossy:
    """Works, but for what is asked to be lost of the engine's."""

    def __init__(self) -> None:
        self.lose_request = False
        self.lose_reply = False

    def request(self, what: str) -> float:
        if self.lose_request:
            self.lose_request = False
            raise lost()
        return 0.0

    def commit(self, what: str) -> float:
        return 0.0

    def reply(self, what: str) -> float:
        if self.lose_reply:
            self.lose_reply = False
            raise lost()
        return 0.0


class SimulatedLogDatabase:
    """The simulation, on the clock of this machine."""

    def __init__(self) -> None:
        self._trouble = _Lossy()
        self.simulated = SimulatedDatabase(utc_now, self._trouble, shards=SHARDS)
        self.settings = Settings()

    async def open(self, shard: int = 0) -> ShardLog:
        with self.installed():
            return await ShardLog.connect(shard, self.settings)

    async def connect(self, **session: str) -> asyncpg.Connection:
        connection: Any = await self.simulated.connect(server_settings=session)
        return connection

    async def contents(self, shard: int = 0) -> Contents:
        tables = self.simulated.tables[shard]
        snapshots = sorted(tables.snapshots.values(), key=lambda row: row.wallet_id)
        return Contents(
            shard=_lasting(asdict(self.simulated.shards[shard])),
            log=[
                (
                    row.position,
                    row.wallet_id,
                    row.version,
                    row.command_id,
                    row.type,
                    row.occurred_at,
                    row.data,
                )
                for row in tables.log
            ],
            due=list(tables.due),
            dead_letters=[
                (
                    row.offset,
                    row.reason,
                    row.detail,
                    row.occurred_at,
                    row.key,
                    row.payload,
                    row.published_at is not None,
                )
                for _, row in sorted(tables.dead_letters.items())
            ],
            forwards=[
                (row.offset, row.home, row.home_offset)
                for _, row in sorted(tables.forwards.items())
            ],
            snapshots=[tuple(asdict(row).values()) for row in snapshots],
            tiles=[
                (level, index, hashes)
                for level, tiles in sorted(tables.tiles.items())
                for index, hashes in sorted(tiles.items())
            ],
        )

    async def set_shard(self, shard: int = 0, **columns: Any) -> None:
        for column, value in columns.items():
            setattr(self.simulated.shards[shard], column, value)

    async def set_data(self, shard: int, position: int, data: bytes) -> None:
        self.simulated.tables[shard].at_position[position].replace_data(data)

    async def add_shard(self, shard: int) -> None:
        self.simulated.shards[shard] = ShardState(shard=shard)
        self.simulated.tables[shard] = ShardTables()

    async def write(self, history: HistoryBuilder, count: int | None = None) -> None:
        shard = history.shard
        if shard not in self.simulated.shards:
            await self.add_shard(shard)
        start = self.simulated.shards[shard].position
        entries = history.entries[start : None if count is None else start + count]
        self.simulated.tables[shard].add(map(stored, entries))
        self.simulated.shards[shard].position += len(entries)
        if entries:
            self.simulated.shards[shard].last_at = max(entry.occurred_at for entry in entries)

    async def model(self, name: str, shard: int = 0) -> list[Row]:
        return plain_rows(self.simulated.models[name], name, shard)

    async def checkpoint(self, name: str, shard: int = 0) -> int | None:
        found = self.simulated.checkpoints.get((name, 1, shard))
        return None if found is None else found.position

    def installed(self) -> AbstractContextManager[object]:
        return patch.object(asyncpg, "connect", self.simulated.connect)

    async def waiting(self) -> int:
        return self.simulated.locks.waiting

    def lose_next_request(self) -> None:
        self._trouble.lose_request = True

    def lose_next_reply(self) -> None:
        self._trouble.lose_reply = True

    def cut(self) -> None:
        for connection in list(self.simulated.connections.values()):
            if connection.settings.get("application_name", "").startswith("wallet-engine"):
                connection.sever()

    async def crash(self) -> None:
        self.simulated.crash()


def utc_now() -> datetime:
    return datetime.now(UTC)
