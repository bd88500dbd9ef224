"""Every change of a customer leaves a row that tells who, when and what, and no more."""

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.support.customers import create_customer, create_wallet
from tests.support.databases import connection_to
from tests.support.query_api import create_credentials
from tests.support.wallet_service import SANDBOX, WalletService

PERSONAL = {"email": "audited@example.com", "name": "Audrey Tetteh", "phone": "+233201112223"}


async def _audit(service: WalletService, customer_id: str) -> list[dict[str, Any]]:
    async with connection_to(service.settings.database_url) as connection:
        rows = await connection.fetch(
            "SELECT * FROM customer_audit WHERE customer_id = $1 ORDER BY id", customer_id
        )
    return [dict(row) for row in rows]


async def test_who_when_and_what(service: WalletService, client: httpx.AsyncClient) -> None:
    start = datetime.now(UTC)
    client_id, secret = await create_credentials(service.settings.database_url, SANDBOX)
    async with httpx.AsyncClient(
        base_url=client.base_url, auth=(client_id, secret), timeout=30
    ) as caller:
        customer = await create_customer(caller, **PERSONAL, metadata={"note": "Audrey's"})
        path = f"/v1/customers/{customer['id']}"
        headers = {"X-Request-Id": "change-1"}
        change = {"name": "Audrey Mensah", "phone": None, "currency": customer["currency"]}
        assert (await caller.patch(path, json=change, headers=headers)).status_code == 200
        assert (await caller.delete(path, headers={"X-Request-Id": "end-1"})).status_code == 200
    rows = await _audit(service, customer["id"])
    assert [(row["action"], row["fields"]) for row in rows] == [
        ("created", ["email", "metadata", "name", "phone"]),
        ("updated", ["name", "phone"]),
        ("deleted", []),
    ]
    assert {row["client_id"] for row in rows} == {client_id}
    assert [row["request_id"] for row in rows[1:]] == ["change-1", "end-1"]
    assert start <= rows[0]["at"] <= rows[1]["at"] <= rows[2]["at"] <= datetime.now(UTC)
    assert not any(text in str(rows) for text in ("Audrey", "audited", "201112223"))


async def test_what_changes_nothing_leaves_nothing(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    customer = await create_customer(client, name="Same")
    path = f"/v1/customers/{customer['id']}"
    assert (await client.patch(path, json={"name": "Same"})).status_code == 200
    assert (await client.patch(path, json={"email": None})).status_code == 400
    await create_wallet(client, customer["id"])
    assert (await client.delete(path)).status_code == 409
    assert [row["action"] for row in await _audit(service, customer["id"])] == ["created"]


async def test_a_repeated_creation_leaves_one_row(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "audited-once"}
    body = {"email": "audited.once@example.com"}
    first = await client.post("/v1/customers", json=body, headers=headers)
    again = await client.post("/v1/customers", json=body, headers=headers)
    assert first.json() == again.json()
    assert len(await _audit(service, first.json()["id"])) == 1
