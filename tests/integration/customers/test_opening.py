"""Opening wallets, as the reference has it."""

import re

import httpx

from tests.support.customers import INSTANT, create_customer, create_wallet


async def test_the_example_of_the_reference(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    wallet = await create_wallet(client, customer["id"])
    assert re.fullmatch(r"wal_[0-9a-f]{24}", wallet.pop("id"))
    assert INSTANT.fullmatch(wallet.pop("created_at"))
    assert wallet == {
        "customer_id": customer["id"],
        "currency": "GHS",
        "balance": 0,
        "balance_formatted": "GH₵0.00",
        "status": "active",
        "metadata": {},
    }


async def test_a_wallet_for_a_customer_that_never_was_is_404(client: httpx.AsyncClient) -> None:
    body = {"customer_id": "cus_nobody", "currency": "GHS"}
    answer = await client.post("/v1/wallets", json=body)
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "The requested customer resource 'cus_nobody' was not found.",
    }
