"""Checkouts, and whoever pays at them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.checkouts import Checkouts
from tests.support.wallet_service import WalletService


@pytest_asyncio.fixture(scope="module")
async def checkouts(service: WalletService) -> AsyncIterator[Checkouts]:
    async with Checkouts.of(service) as using:
        yield using
