"""Databases of a test's own."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """The URL of a new, empty database on the server; dropped at the end, sessions and all."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await _execute(server_url, f"CREATE DATABASE {name}")
    yield server_url.rpartition("/")[0] + f"/{name}"
    await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is closed at the end."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    async with connection_to(url) as connection:
        await connection.execute(statement)
