"""The whole service, a merchant's site, and a browser that goes from one to the other."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from cli.stack import Stack
from tests.support.checkouts import Checkouts
from tests.support.customer_browser import customer_browser
from tests.support.merchant_site import MerchantSite
from tests.support.wallet_service import WalletService, wallet_service


@pytest_asyncio.fixture(scope="module")
async def service(stack: Stack) -> AsyncIterator[WalletService]:
    async with wallet_service(stack, api_deadline_ms=3_000) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def checkouts(service: WalletService) -> AsyncIterator[Checkouts]:
    async with Checkouts.of(service) as using:
        yield using


@pytest_asyncio.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with customer_browser() as running:
        yield running


@pytest_asyncio.fixture
async def merchant() -> AsyncIterator[MerchantSite]:
    async with MerchantSite.open() as site:
        yield site


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def javascript(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)
