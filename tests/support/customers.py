"""Customers and wallets made over HTTP."""

import re
import secrets
from typing import Any

import httpx

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


async def create_customer(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """A new customer, with an email of its own unless one is given."""
    body = {"email": f"{secrets.token_hex(6)}@example.com"} | body
    answer = await client.post("/v1/customers", json=body)
    assert answer.status_code == 201, answer.text
    customer: dict[str, Any] = answer.json()
    return customer


async def create_wallet(
    client: httpx.AsyncClient, customer_id: str, **body: Any
) -> dict[str, Any]:
    """A new wallet of the customer."""
    body = {"customer_id": customer_id, "currency": "GHS"} | body
    answer = await client.post("/v1/wallets", json=body)
    assert answer.status_code == 201, answer.text
    wallet: dict[str, Any] = answer.json()
    return wallet
