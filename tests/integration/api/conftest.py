"""A migrated database, a clock that stands, and a client of an API that reads both."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from api.install import install
from tests.support.databases import connection_to
from tests.support.query_api import StandingClock, running_api


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    await install(database_url)
    async with connection_to(database_url) as connection:
        yield connection


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest_asyncio.fixture
async def client(
    database_url: str,
    kafka_bootstrap: str,
    connection: asyncpg.Connection,
    clock: StandingClock,
) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(database_url, clock, kafka_bootstrap=kafka_bootstrap) as client:
        yield client
