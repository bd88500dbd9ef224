"""The engine is away, or makes nothing of a command: never a lie, and a retry is safe."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest

from cli.stack import Stack
from engine import batch
from engine.decider import Decision
from schemas.commands import AnyCommand
from tests.support.databases import connection_to
from tests.support.money_calls import DEBIT, balance, debit, entries_of, open_wallet
from tests.support.polling import poll_async
from tests.support.wallet_service import WalletService, running_engine, wallet_service

DEADLINE_S = 2.0
LATE_S = 3.0
"""What an answer may take beyond the deadline on a machine that is busy."""

UNKNOWN = (
    "The outcome is not known yet. A retry with the same reference, or the same Idempotency-Key,"
    " is safe."
)


@asynccontextmanager
async def _without_engine(
    stack: Stack, **changes: int
) -> AsyncIterator[tuple[WalletService, str]]:
    """A service with one wallet of 150.00, whose engine has been stopped."""
    async with wallet_service(stack, with_engine=False, **changes) as service:
        async with running_engine(service.settings):
            wallet_id = await open_wallet(service.client, 15000)
        yield service, wallet_id


async def test_503_within_the_deadline_and_the_retry_is_the_one_effect(stack: Stack) -> None:
    async with _without_engine(stack, api_deadline_ms=int(DEADLINE_S * 1000)) as (
        service,
        wallet_id,
    ):
        client = service.client
        key = {"Idempotency-Key": secrets.token_hex(8)}
        freeze = f"/v2/wallets/{wallet_id}/freeze"
        began = time.monotonic()
        answers = await asyncio.gather(
            debit(client, wallet_id),
            debit(client, wallet_id, "v2", reference="another"),
            client.post(freeze, headers=key),
            client.post(freeze, headers=key),
        )
        assert DEADLINE_S * 0.5 < time.monotonic() - began < DEADLINE_S + LATE_S
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
        assert answers[0].json() == {"success": False, "error": UNKNOWN}
        assert answers[1].json()["error"]["message"] == UNKNOWN
        assert answers[1].json()["error"]["code"] == "outcome_unknown"
        assert await balance(client, wallet_id) == 15000

        async with running_engine(service.settings):
            await _until_200(client, f"/v1/wallets/{wallet_id}/debit")
            again = await client.post(freeze, headers=key)
        # what was sent before the engine came back is decided too, and each of it once
        assert again.status_code == 200
        assert again.json()["status"] == "frozen"
        assert await balance(client, wallet_id) == 14000
        entries = await entries_of(service.settings.database_url, wallet_id)
        assert sorted(entries) == ["credited", "debited", "debited", "frozen", "wallet_created"]


async def _until_200(client: httpx.AsyncClient, path: str) -> None:
    deadline = time.monotonic() + 30
    while (answer := await client.post(path, json=DEBIT)).status_code != 200:
        assert answer.status_code == 503
        assert time.monotonic() < deadline


async def test_a_client_that_disconnects_changes_nothing(stack: Stack) -> None:
    async with _without_engine(stack, api_deadline_ms=30_000) as (service, wallet_id):
        key = secrets.token_hex(8)
        await _send_and_disconnect(service, wallet_id, key)
        async with running_engine(service.settings):
            # the answer is kept by the request that nobody waits for any more
            await poll_async(partial(_value, service, _IS_KEPT, key))
            again = await service.client.post(
                f"/v1/wallets/{wallet_id}/debit", json=DEBIT, headers={"Idempotency-Key": key}
            )
        assert again.status_code == 200
        assert again.headers["Idempotency-Replayed"] == "true"
        assert await balance(service.client, wallet_id) == 14500


_IS_CLAIMED = "SELECT EXISTS (SELECT FROM idempotency_keys WHERE key = $1)"
_IS_KEPT = "SELECT status = 200 FROM idempotency_keys WHERE key = $1"


async def _value(service: WalletService, query: str, key: str) -> object:
    async with connection_to(service.settings.database_url) as connection:
        return await connection.fetchval(query, key)


async def _send_and_disconnect(service: WalletService, wallet_id: str, key: str) -> None:
    client = service.client
    address = urlsplit(str(client.base_url))
    request = client.build_request(
        "POST",
        f"/v1/wallets/{wallet_id}/debit",
        json=DEBIT,
        headers={"Idempotency-Key": key},
    )
    assert client.auth is not None
    request = next(client.auth.sync_auth_flow(request))
    head = f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in request.headers.items()
    )
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(head.encode() + b"\r\n" + request.content)
    await writer.drain()
    await poll_async(partial(_value, service, _IS_CLAIMED, key))
    writer.close()
    await writer.wait_closed()


async def test_a_command_that_is_set_aside_is_a_500_with_its_reason_in_the_log(
    service: WalletService,
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wallet_id = await open_wallet(client, 15000)
    decide = batch.decide

    def failing(wallet: object, command: AnyCommand, now: object) -> Decision:
        if command.reference == "sms_batch_8821":
            raise ZeroDivisionError("by the moon")
        return decide(wallet, command, now)  # type: ignore[arg-type]

    key = {"Idempotency-Key": secrets.token_hex(8)}
    with monkeypatch.context() as broken:
        broken.setattr(batch, "decide", failing)
        with caplog.at_level(logging.ERROR, "api"):
            answer = await client.post(f"/v2/wallets/{wallet_id}/debit", json=DEBIT, headers=key)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "command_set_aside"
    assert "moon" not in answer.text
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("api")]
    assert any("decider_failed" in line and "moon" in line for line in logged), logged
    assert await balance(client, wallet_id) == 15000
    again = await client.post(f"/v2/wallets/{wallet_id}/debit", json=DEBIT, headers=key)
    assert (again.status_code, again.json()["balance_after"]) == (200, 14500)
