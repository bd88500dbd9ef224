"""What the engine can make nothing of is not sent again and again."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from cli.stack import Stack
from engine import batch
from engine.decider import Decision
from schemas.commands import AnyCommand, CreateWallet, encode_command
from tests.support.checkouts import Checkouts
from tests.support.customers import create_customer
from tests.support.databases import connection_to
from tests.support.polling import poll_async
from tests.support.wallet_service import WalletService, wallet_service

REASON = "by the moon"


@pytest_asyncio.fixture
async def service(stack: Stack) -> AsyncIterator[WalletService]:
    async with wallet_service(stack, api_deadline_ms=2_000) as running:
        yield running


@pytest_asyncio.fixture
async def database(service: WalletService) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(service.settings.database_url) as connection:
        yield connection


@pytest.fixture
def moon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening wallets and topping up fails in the engine, but for metadata or 1 pesewa."""
    decide = batch.decide

    def failing(wallet: object, command: AnyCommand, now: object) -> Decision:
        if getattr(command, "metadata", None) == {"moon": "full"}:
            raise ZeroDivisionError(REASON)
        if getattr(command, "amount", None) == 666:
            raise ZeroDivisionError(REASON)
        return decide(wallet, command, now)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "decide", failing)


@pytest.mark.usefixtures("moon")
async def test_an_opening_that_was_set_aside_is_left_alone(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"}
    answer = await client.post("/v1/wallets", json=body | {"metadata": {"moon": "full"}})
    assert answer.status_code == 500
    old = "clock_timestamp() - interval '10 minutes'"
    sent_at = await database.fetchval(
        f"UPDATE wallet_intents SET sent_at = {old} RETURNING sent_at"
    )
    await _swept(client, database)
    assert await database.fetchval("SELECT sent_at FROM wallet_intents") == sent_at
    assert await database.fetchval("SELECT count(*) FROM dead_letters") == 1

    await database.execute(f"UPDATE wallet_intents SET set_aside_at = set_aside_at - {_AN_HOUR}")
    await poll_async(lambda: _dead_letters(database, 2))


async def test_an_opening_that_can_not_be_read_holds_up_no_other(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    left = CreateWallet(
        wallet_id="wal_left",
        reference="left",
        merchant_id="mch_1",
        environment="sandbox",
        customer_id=customer["id"],
        currency="GHS",
    )
    unreadable = encode_command(left).replace(b"create_wallet", b"lease_wallet")
    assert unreadable != encode_command(left)
    for number, command in enumerate([unreadable, encode_command(left)]):
        await database.execute(
            "INSERT INTO wallet_intents VALUES ($1, $2, $3, clock_timestamp() - interval '1 hour')",
            ("wal_unreadable", "wal_left")[number],
            customer["id"],
            command,
        )
    await poll_async(lambda: _is_gone(database, "wal_left"))
    assert not await _is_gone(database, "wal_unreadable")


async def _is_gone(database: asyncpg.Connection, wallet_id: str) -> bool:
    found = await database.fetchval(
        "SELECT count(*) FROM wallet_intents WHERE wallet_id = $1", wallet_id
    )
    return bool(found == 0)


@pytest.mark.usefixtures("moon")
async def test_a_payment_that_was_set_aside_is_left_alone(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    async with Checkouts.of(service) as checkouts:
        topup = await checkouts.open(amount=666)
        assert (await checkouts.press(topup, "pay")).status_code == 303
        assert await checkouts.stored(topup) == "paying"
        await checkouts.leave_paying(topup)
        await _swept(client, database)
        assert await database.fetchval("SELECT attempts FROM topups") == 1
        assert await database.fetchval("SELECT count(*) FROM dead_letters") == 1

        await database.execute(f"UPDATE topups SET set_aside_at = set_aside_at - {_AN_HOUR}")
        await poll_async(lambda: _dead_letters(database, 2))


_AN_HOUR = "interval '1 hour'"


async def _dead_letters(database: asyncpg.Connection, count: int) -> bool:
    found = await database.fetchval("SELECT count(*) FROM dead_letters")
    return bool(found == count)


async def _swept(client: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    """Every sweep has begun and ended at least once, as is seen by what the first of them ends."""
    customer_id = (await create_customer(client))["id"]
    for number in range(3):
        await database.execute(
            "INSERT INTO topups (topup_id, merchant_id, environment, wallet_id, amount, currency,"
            " token, redirect_url, created_at, expires_at)"
            " VALUES ($1, 'mch_1', 'sandbox', $2, 1, 'GHS', $1, '', now(), now())",
            f"top_{number}{customer_id}",
            "wal_none",
        )
        await poll_async(lambda: _none_pending(database))
    await database.execute("DELETE FROM topups WHERE wallet_id = 'wal_none'")


async def _none_pending(database: asyncpg.Connection) -> bool:
    pending = await database.fetchval("SELECT count(*) FROM topups WHERE status = 'pending'")
    return bool(pending == 0)
