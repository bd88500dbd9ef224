"""Wallets with money in them, made over HTTP, and what is asked of them."""

from typing import Any

import httpx

from tests.support.customers import create_customer, create_wallet
from tests.support.databases import connection_to

DEBIT = {"amount": 500, "description": "10 SMS messages sent", "reference": "sms_batch_8821"}
"""The body of the reference's own example."""


async def open_wallet(client: httpx.AsyncClient, balance: int = 0) -> str:
    """The id of a new wallet of a new customer, with so much credited to it."""
    customer = await create_customer(client)
    wallet_id: str = (await create_wallet(client, customer["id"]))["id"]
    if balance:
        await credit(client, wallet_id, balance, "opening")
    return wallet_id


async def credit(
    client: httpx.AsyncClient, wallet_id: str, amount: int, reference: str, **fields: Any
) -> dict[str, Any]:
    """The transaction of a credit that has to be taken."""
    body = {"amount": amount, "description": "A credit", "reference": reference} | fields
    answer = await client.post(f"/v1/wallets/{wallet_id}/credit", json=body)
    assert answer.status_code == 200, answer.text
    transaction: dict[str, Any] = answer.json()
    return transaction


async def debit(
    client: httpx.AsyncClient, wallet_id: str, version: str = "v1", **fields: Any
) -> httpx.Response:
    """The answer to the reference's example, with some fields changed."""
    return await client.post(f"/{version}/wallets/{wallet_id}/debit", json=DEBIT | fields)


async def balance(client: httpx.AsyncClient, wallet_id: str) -> int:
    answer = await client.get(f"/v1/wallets/{wallet_id}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["balance"])


async def entries_of(database_url: str, wallet_id: str) -> list[str]:
    """The types of a wallet's entries, in their order."""
    async with connection_to(database_url) as connection:
        rows = await connection.fetch(
            "SELECT type FROM log WHERE wallet_id = $1 ORDER BY position", wallet_id
        )
        return [row["type"] for row in rows]


async def records_decided(database_url: str) -> int:
    """How many records of the commands topic have been decided."""
    async with connection_to(database_url) as connection:
        return int(await connection.fetchval("SELECT sum(next_offset) FROM shards"))
