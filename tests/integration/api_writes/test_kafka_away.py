"""Kafka is away: reads go on, writes end within the deadline, and everything comes back by itself.

These tests stop the broker that all tests share, and start it again.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from cli.stack import Stack
from tests.support.customers import create_customer
from tests.support.money_calls import DEBIT, balance, debit, entries_of, open_wallet
from tests.support.wallet_service import WalletService, wallet_service

DEADLINE_S = 2.0
LATE_S = 3.0
"""What an answer may take beyond the deadline on a machine that is busy."""

STOPPED_S_MAX = 15.0


@asynccontextmanager
async def _kafka_away(stack: Stack) -> AsyncIterator[None]:
    await stack.kafka.stop()
    try:
        yield
    finally:
        await stack.kafka.start()


async def test_writes_end_in_time_reads_go_on_and_a_retry_is_the_one_effect(stack: Stack) -> None:
    async with wallet_service(stack, api_deadline_ms=int(DEADLINE_S * 1000)) as service:
        client = service.client
        wallet_id = await open_wallet(client, 15000)
        customer = await create_customer(client)
        async with _kafka_away(stack):
            began = time.monotonic()
            answers = await asyncio.gather(
                debit(client, wallet_id),
                client.post(f"/v1/wallets/{wallet_id}/freeze"),
                client.post(
                    "/v1/wallets", json={"customer_id": customer["id"], "currency": "GHS"}
                ),
            )
            assert time.monotonic() - began < DEADLINE_S + LATE_S
            for answer in answers:
                assert answer.status_code == 503
                assert int(answer.headers["Retry-After"]) >= 1
                assert answer.json()["error"].endswith(
                    "A retry with the same reference, or the same Idempotency-Key, is safe."
                )
            assert await balance(client, wallet_id) == 15000
            await _begins_and_ends_without_kafka(service, wallet_id)
        await _until_200(client, wallet_id, "a reference of its own")
        await client.post(f"/v1/wallets/{wallet_id}/unfreeze")
        await _until_200(client, wallet_id, DEBIT["reference"])
        assert await balance(client, wallet_id) == 14000
        entries = await entries_of(service.settings.database_url, wallet_id)
        assert entries.count("debited") == 2


async def _begins_and_ends_without_kafka(service: WalletService, wallet_id: str) -> None:
    async with service.another_api() as newcomer:
        assert await balance(newcomer, wallet_id) == 15000
        assert (await debit(newcomer, wallet_id)).status_code == 503
        ended_from = time.monotonic()
    assert time.monotonic() - ended_from < STOPPED_S_MAX


async def _until_200(client: httpx.AsyncClient, wallet_id: str, reference: object) -> None:
    deadline = time.monotonic() + 60
    while (answer := await debit(client, wallet_id, reference=reference)).status_code != 200:
        if answer.status_code == 409:
            # frozen by the request that could not be told of it
            assert "frozen" in answer.json()["error"]
            return
        assert answer.status_code == 503, answer.text
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
