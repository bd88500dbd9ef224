"""Three owners of one service, who must know nothing of each other."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest_asyncio

from schemas.ids import Owner
from tests.support.wallet_service import SANDBOX, WalletService

OTHER_MERCHANT = Owner("mch_2", "sandbox")


@pytest_asyncio.fixture(scope="module")
async def owners(service: WalletService) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """A client for each owner, by what it is to the first."""
    others = {
        "other_merchant": OTHER_MERCHANT,
        "other_environment": Owner(SANDBOX.merchant_id, "live"),
    }
    async with AsyncExitStack() as resources:
        clients = {"owner": service.client}
        for name, owner in others.items():
            clients[name] = await resources.enter_async_context(service.calling_as(owner))
        yield clients
