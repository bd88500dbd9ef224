"""Deleting customers, once every wallet of theirs is closed."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import httpx
import pytest

from api.reads import Reads
from tests.support.customers import create_customer, create_wallet


async def test_a_deleted_customer_is_gone(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    path = f"/v1/customers/{customer['id']}"
    answer = await client.delete(path)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"id": customer["id"], "deleted": True}
    missing = {
        "success": False,
        "error": f"The requested customer resource '{customer['id']}' was not found.",
    }
    for gone in (
        await client.get(path),
        await client.delete(path),
        await client.patch(path, json={"name": "Ama"}),
        await client.post("/v1/wallets", json={"customer_id": customer["id"], "currency": "GHS"}),
    ):
        assert (gone.status_code, gone.json()) == (404, missing)
    listed = await client.get("/v1/customers", params={"email": customer["email"]})
    assert listed.json()["data"] == []


async def test_the_email_of_a_deleted_customer_is_free(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    await client.delete(f"/v1/customers/{customer['id']}")
    again = await create_customer(client, email=customer["email"])
    assert again["id"] != customer["id"]


async def test_a_customer_is_kept_while_a_wallet_is_not_closed(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    path = f"/v1/customers/{customer['id']}"
    closed = await create_wallet(client, customer["id"])
    assert (await client.post(f"/v1/wallets/{closed['id']}/close")).status_code == 200
    frozen = await create_wallet(client, customer["id"])
    assert (await client.post(f"/v1/wallets/{frozen['id']}/freeze")).status_code == 200
    answer = await client.delete(path)
    assert answer.status_code == 409
    assert answer.json() == {
        "success": False,
        "error": f"The customer '{customer['id']}' has a wallet that is not closed"
        f" ('{frozen['id']}'). Close every wallet of theirs first.",
    }
    assert (await client.get(path)).status_code == 200
    assert (await client.post(f"/v1/wallets/{frozen['id']}/close")).status_code == 200
    assert (await client.delete(path)).status_code == 200


async def test_nobody_waits_for_a_deletion_that_waits_for_the_read_models(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await create_customer(client)
    path = f"/v1/customers/{customer['id']}"
    waits, may_go_on, caught_up = asyncio.Semaphore(0), asyncio.Semaphore(0), Reads.caught_up

    async def held_up(reads: Reads, models: Sequence[str], deadline: float) -> None:
        waits.release()
        await may_go_on.acquire()
        await caught_up(reads, models, deadline)

    monkeypatch.setattr(Reads, "caught_up", held_up)
    deleting = asyncio.create_task(client.delete(path))
    while await _comes_before_the_end(waits.acquire(), deleting):
        change = await client.patch(path, json={"name": "Ama"}, timeout=3)
        assert change.status_code == 200, change.text
        may_go_on.release()
    assert (await deleting).status_code == 200


async def _comes_before_the_end(
    event: Coroutine[Any, Any, object], end: asyncio.Task[Any]
) -> bool:
    coming = asyncio.create_task(event)
    await asyncio.wait({coming, end}, return_when=asyncio.FIRST_COMPLETED)
    return coming.done() or not coming.cancel()
