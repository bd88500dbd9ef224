"""The database that the log runs on, as a port with two sides: PostgreSQL and the simulation."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Protocol

import asyncpg
from msgspec import Struct

from engine.log import ShardLog
from engine.settings import Settings
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


_PASSING = ("lease", "appended_lease", "appended_at", "claimed_at")


def lasting(row: dict[str, Any]) -> dict[str, Any]:
    """A shard's row without what differs between two databases by its nature."""
    return {name: value for name, value in row.items() if name not in _PASSING}
