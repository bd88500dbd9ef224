"""Nothing of one merchant or environment is there for another."""

from typing import Any

import httpx
import pytest

from schemas.ids import Owner
from tests.support.customers import create_customer
from tests.support.wallet_service import SANDBOX, WalletService

STRANGERS = [Owner("mch_2", "sandbox"), Owner(SANDBOX.merchant_id, "live")]


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_strangers_customer_is_as_one_that_never_was(
    service: WalletService, client: httpx.AsyncClient, stranger: Owner
) -> None:
    customer = await create_customer(client)
    path = f"/v1/customers/{customer['id']}"
    missing = {
        "success": False,
        "error": f"The requested customer resource '{customer['id']}' was not found.",
    }
    async with service.calling_as(stranger) as other:
        for answer in (
            await other.get(path),
            await other.patch(path, json={"name": "Mine now"}),
            await other.delete(path),
            await other.post(
                "/v1/wallets", json={"customer_id": customer["id"], "currency": "GHS"}
            ),
        ):
            assert (answer.status_code, answer.json()) == (404, missing)
        assert (await other.get("/v1/customers")).json()["data"] == []
        listed = await other.get("/v1/customers", params={"email": customer["email"]})
        assert listed.json()["data"] == []
        refused = await other.get("/v1/customers", params={"after": customer["id"]})
        assert refused.status_code == 400
    assert customer.items() <= (await client.get(path)).json().items()


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_an_email_stands_once_for_each(
    service: WalletService, client: httpx.AsyncClient, stranger: Owner
) -> None:
    customer = await create_customer(client)
    async with service.calling_as(stranger) as other:
        theirs = await create_customer(other, email=customer["email"])
        assert (await other.delete(f"/v1/customers/{theirs['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("scope", "method", "path", "body"),
    [
        ("customers:write", "POST", "/v1/customers", {"email": "scope@example.com"}),
        ("customers:read", "GET", "/v1/customers", None),
        ("customers:read", "GET", "/v1/customers/cus_nobody", None),
        ("customers:write", "PATCH", "/v1/customers/cus_nobody", {"name": "Ama"}),
        ("customers:write", "DELETE", "/v1/customers/cus_nobody", None),
        ("credits:write", "POST", "/v1/wallets", {"customer_id": "cus_a", "currency": "GHS"}),
    ],
)
async def test_each_operation_needs_its_scope(
    service: WalletService, scope: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    others = {"customers:read", "customers:write", "credits:read", "credits:write"} - {scope}
    async with service.calling_as(SANDBOX, scopes=sorted(others)) as client:
        answer = await client.request(method, path, json=body)
    assert answer.status_code == 403
    assert answer.json()["error"] == (
        f"Forbidden. This API key lacks the '{scope}' scope required to perform this action."
    )
    async with service.calling_as(SANDBOX, scopes=[scope]) as client:
        assert (await client.request(method, path, json=body)).status_code in {200, 201, 404}
