"""Databases as they stood at a moment, and what there is to be restored from them.

PostgreSQL copies a database at rest file by file, so a copy is what a recovery to the end of a
transaction gives, at the price of nobody being connected.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.databases import connection_to, fresh_database
from tests.support.polling import poll_async


@asynccontextmanager
async def copied(url: str) -> AsyncIterator[str]:
    """The URL of a copy of the database as it is now; dropped at the end."""
    async with fresh_database(_server(url)) as copy:
        source, name = url.rpartition("/")[2], copy.rpartition("/")[2]
        async with connection_to(_server(url)) as connection:
            await connection.execute(f"DROP DATABASE {name}")
            await poll_async(lambda: _try_copy(connection, source, name))
        yield copy


def _server(url: str) -> str:
    return url.rpartition("/")[0] + "/wallet"


async def _try_copy(connection: asyncpg.Connection, source: str, name: str) -> bool:
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    except asyncpg.ObjectInUseError:  # a session that is ending
        return False
    return True


async def log_rows(url: str, stop: int | None = None) -> list[tuple[object, ...]]:
    """All columns of the log, below a position if one is given."""
    async with connection_to(url) as connection:
        rows = await connection.fetch(
            "SELECT * FROM log WHERE $1::bigint IS NULL OR position < $1 ORDER BY shard, position",
            stop,
        )
    return [tuple(row.values()) for row in rows]
