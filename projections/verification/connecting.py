"""The connection that verification reads through."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from asyncpg import Connection

from engine.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """For the block, and for reading only."""
    connection = await asyncpg.connect(
        settings.database_url,
        timeout=settings.database_timeout_ms / 1000,
        server_settings={
            "application_name": "wallet-verify",
            "default_transaction_read_only": "on",
            "jit": "off",
        },
    )
    try:
        yield connection
    finally:
        await connection.close()
