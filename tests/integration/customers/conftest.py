"""What is in the rows, beside what the service says."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from tests.support.databases import connection_to
from tests.support.wallet_service import WalletService


@pytest_asyncio.fixture
async def database(service: WalletService) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(service.settings.database_url) as connection:
        yield connection
