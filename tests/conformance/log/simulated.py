"""The suite's side that is simulated, on the clock of this machine."""

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import asyncpg
from msgspec.structs import asdict

from engine.log import ShardLog
from engine.settings import Settings
from schemas.instants import utc_now
from tests.conformance.log.databases import SHARDS, Contents, Row, lasting
from tests.conformance.log.plain_models import plain_rows
from tests.simulation.database import SimulatedDatabase
from tests.simulation.database.errors import lost
from tests.simulation.database.rows import ShardState, StoredRow
from tests.simulation.database.tables import ShardTables
from tests.simulation.database.trouble import NoTrouble
from tests.support.history import HistoryBuilder


class _Lossy(NoTrouble):
    """Works, but for what is asked to be lost of the engine's."""

    def __init__(self) -> None:
        self.lose_request = False
        self.lose_reply = False

    def request(self, what: str) -> float:
        if self.lose_request:
            self.lose_request = False
            raise lost()
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
            shard=lasting(asdict(self.simulated.shards[shard])),
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
        self.simulated.tables[shard].add(map(StoredRow.of, entries))
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
