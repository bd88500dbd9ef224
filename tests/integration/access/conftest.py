"""A database with a merchant, and authentication on it as a process of the API does it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from api.access.keys import create_merchant
from api.install import install
from tests.support.authentication import MERCHANT
from tests.support.databases import connection_to


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    await install(database_url)
    async with connection_to(database_url) as connection:
        await create_merchant(connection, "Ama's Messages", "GHS", MERCHANT)
        yield connection


@pytest_asyncio.fixture
async def rows(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database_url, min_size=0, max_size=3) as pool:
        yield pool
