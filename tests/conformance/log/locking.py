"""Holding a shard's row, and seeing who waits for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.log import ShardLog
from tests.conformance.log.databases import LogDatabase


@asynccontextmanager
async def transaction(log: ShardLog) -> AsyncIterator[None]:
    """What the lease appends or claims in here is committed at the end."""
    await log._append.execute("BEGIN")
    yield
    await log._append.execute("COMMIT")


async def until_waiting(database: LogDatabase, count: int = 1) -> None:
    """Wait until so many sessions wait."""
    deadline = time.monotonic() + 10
    while await database.waiting() != count:
        assert time.monotonic() < deadline, f"not {count} wait"
        await asyncio.sleep(0.01)
