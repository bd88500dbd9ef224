"""One whole service for the tests of a module; each test makes wallets of its own."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from cli.stack import Stack
from tests.support.checkouts import Checkouts
from tests.support.wallet_service import WalletService, wallet_service


@pytest_asyncio.fixture(scope="module")
async def service(stack: Stack) -> AsyncIterator[WalletService]:
    async with wallet_service(stack) as running:
        yield running


@pytest.fixture
def client(service: WalletService) -> httpx.AsyncClient:
    return service.client


@pytest_asyncio.fixture(scope="module")
async def checkouts(service: WalletService) -> AsyncIterator[Checkouts]:
    async with Checkouts.of(service) as using:
        yield using
