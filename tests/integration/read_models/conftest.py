"""A database with log and read models, of which nothing has been written yet."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from api.install import install
from tests.support.databases import connection_to


@pytest_asyncio.fixture
async def url(database_url: str) -> str:
    await install(database_url)
    return database_url


@pytest_asyncio.fixture
async def connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(url) as connected:
        yield connected
