"""One whole service for the tests of a module that ask for it; each makes things of its own."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from cli.stack import Stack
from tests.support.wallet_service import WalletService, wallet_service


@pytest_asyncio.fixture(scope="module")
async def service(stack: Stack) -> AsyncIterator[WalletService]:
    async with wallet_service(stack) as running:
        yield running


@pytest.fixture
def client(service: WalletService) -> httpx.AsyncClient:
    return service.client
