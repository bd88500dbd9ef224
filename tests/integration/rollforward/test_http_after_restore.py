"""A database restored to before a request was answered gives the same answer again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from engine.settings import Settings
from tests.support.checkouts import Checkouts
from tests.support.customers import create_customer
from tests.support.databases import connection_to
from tests.support.money_calls import balance, credit, debit, open_wallet
from tests.support.polling import poll_async
from tests.support.query_api import SECRET_KEYS, create_credentials, running_api
from tests.support.read_models import keeping_up
from tests.support.restore_points import copied, log_rows, nobody_connected
from tests.support.wallet_command import run
from tests.support.wallet_service import SANDBOX, WalletService, running_engine

_ALL_PUBLISHED = "SELECT bool_and(published = position) FROM shards"


@asynccontextmanager
async def serving(settings: Settings, auth: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """An engine, a projector and an API on the database; nobody is connected afterwards."""
    async with running_engine(settings), keeping_up(settings):
        own = settings.model_copy(update={"secret_keys": SECRET_KEYS, "api_port": 0}).model_dump()
        url = own.pop("database_url")
        async with running_api(url, owner=SANDBOX, auth=auth, **own) as client:
            yield client
            async with connection_to(url) as connection:
                await poll_async(lambda: connection.fetchval(_ALL_PUBLISHED))
    async with connection_to(settings.database_url) as connection:
        await nobody_connected(connection)


@pytest.mark.timeout(240)
async def test_answers_and_receipts_are_the_same_after_a_restore(settings: Settings) -> None:
    auth = await create_credentials(settings.database_url, SANDBOX)
    async with serving(settings, auth) as client:
        wallet_id = await open_wallet(client, 1_000)
        async with Checkouts.of(WalletService(settings, client)) as checkouts:
            topup = await checkouts.open(wallet_id=wallet_id)
    async with copied(settings.database_url) as url:
        after = settings.model_copy(update={"database_url": url})
        async with serving(settings, auth) as client:
            paid = await debit(client, wallet_id)
            refused = await debit(client, wallet_id, amount=90_000, reference="too-much")
            await credit(client, wallet_id, 70, "later")
            known = await create_customer(client)
            async with Checkouts.of(WalletService(settings, client)) as checkouts:
                topup = _at(client, topup)
                await checkouts.press(topup, "pay")
                assert await checkouts.shown(topup) == "succeeded"
            held = await balance(client, wallet_id)
            told = (await client.get(f"/v1/wallets/{wallet_id}/transactions")).json()
            assert len(told["data"]) == 4
        lost = await log_rows(settings.database_url)

        done = await run(after, "roll-forward", "--yes")
        assert done.status == 0, done.err
        assert "they are as of the restored point" in done.out.replace("\n", " ")
        assert await log_rows(url) == lost

        async with serving(after, auth) as client:
            listed = await client.get(f"/v1/wallets/{wallet_id}/transactions")
            assert listed.json() == told
            again = await debit(client, wallet_id)
            assert (again.status_code, again.content) == (paid.status_code, paid.content)
            again = await debit(client, wallet_id, amount=90_000, reference="too-much")
            assert (again.status_code, again.json()) == (refused.status_code, refused.json())
            assert await balance(client, wallet_id) == held
            # what is a row and no event is as of the restored point
            assert (await client.get(f"/v1/customers/{known['id']}")).status_code == 404
            async with Checkouts.of(WalletService(after, client)) as checkouts:
                topup = _at(client, topup)
                assert await checkouts.shown(topup) == "pending"
                await checkouts.press(topup, "pay")
                assert await checkouts.shown(topup) == "succeeded"
                assert await checkouts.topped_up(wallet_id) == [topup["id"]]
            assert await balance(client, wallet_id) == held
        assert await log_rows(url) == lost


def _at(client: httpx.AsyncClient, topup: dict[str, str]) -> dict[str, str]:
    """The top-up by the address of another API."""
    path = httpx.URL(topup["checkout_url"]).raw_path.decode()
    return topup | {"checkout_url": str(client.base_url).rstrip("/") + path}
