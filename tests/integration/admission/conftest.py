"""One API for the tests of a module, on a database that none of them changes."""

from collections.abc import AsyncIterator

import pytest_asyncio

from api.install import install
from cli.stack import Stack
from tests.support.databases import fresh_database
from tests.support.query_api import running_api
from tests.support.raw_http import RawApi


@pytest_asyncio.fixture(scope="module")
async def database(stack: Stack) -> AsyncIterator[str]:
    async with fresh_database(stack.database_url) as url:
        await install(url)
        yield url


@pytest_asyncio.fixture(scope="module")
async def api(stack: Stack, database: str) -> AsyncIterator[RawApi]:
    """Trusts the proxy that the tests are, on this machine.

    Its deadline is short for the bodies that never come, and long enough for all the others.
    """
    async with running_api(
        database,
        kafka_bootstrap=stack.kafka_bootstrap,
        trusted_proxies="127.0.0.1",
        api_deadline_ms=3_000,
    ) as client:
        yield RawApi(client)
