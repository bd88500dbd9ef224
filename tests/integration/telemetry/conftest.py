"""One watched service for the tests here; each makes wallets of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from cli.stack import Stack
from tests.support.watched_service import WatchedService, watched_service


@pytest_asyncio.fixture(scope="session")
async def watched(stack: Stack) -> AsyncIterator[WatchedService]:
    async with watched_service(stack) as service:
        yield service
