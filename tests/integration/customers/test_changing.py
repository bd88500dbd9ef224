"""Changing customers: any field but the id."""

from typing import Any

import httpx
import pytest

from tests.support.customers import create_customer

FULL: dict[str, Any] = {
    "name": "Ama Owusu",
    "phone": "+233241234567",
    "currency": "USD",
    "metadata": {"tier": "gold"},
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "esi.mensah@example.com"),
        ("name", "Esi Mensah"),
        ("phone", "+15551234567"),
        ("currency", "XOF"),
        ("metadata", {"tier": "silver", "seats": 3}),
    ],
)
async def test_each_field_is_changed_by_itself(
    client: httpx.AsyncClient, field: str, value: object
) -> None:
    customer = await create_customer(client, **FULL)
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={field: value})
    assert answer.status_code == 200, answer.text
    assert answer.json() == customer | {field: value}
    shown = (await client.get(f"/v1/customers/{customer['id']}")).json()
    assert shown == answer.json() | {"subscriptions": [], "payment_methods": []}


@pytest.mark.parametrize(("field", "cleared"), [("name", None), ("phone", None), ("metadata", {})])
async def test_null_clears(client: httpx.AsyncClient, field: str, cleared: object) -> None:
    customer = await create_customer(client, **FULL)
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={field: None})
    assert answer.json() == customer | {field: cleared}


async def test_without_a_currency_of_their_own_they_have_the_merchants(
    client: httpx.AsyncClient,
) -> None:
    customer = await create_customer(client, **FULL)
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={"currency": None})
    assert answer.status_code == 200, answer.text
    assert answer.json() == customer | {"currency": "GHS"}


async def test_nobody_can_be_without_an_email(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client, **FULL)
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={"email": None})
    assert answer.status_code == 400
    assert answer.json() == {"success": False, "error": "email can't be cleared."}
    shown = (await client.get(f"/v1/customers/{customer['id']}")).json()
    assert shown["email"] == customer["email"]


async def test_the_id_stays_whatever_is_asked(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    path, body = f"customers/{customer['id']}", {"id": "cus_other", "name": "Ama"}
    answer = await client.patch(f"/v1/{path}", json=body)
    assert answer.json() == customer | {"name": "Ama"}
    refused = await client.patch(f"/v2/{path}", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "id is not a field of this request."


async def test_an_email_of_somebody_else_is_not_taken(client: httpx.AsyncClient) -> None:
    other = await create_customer(client)
    customer = await create_customer(client)
    answer = await client.patch(
        f"/v1/customers/{customer['id']}", json={"email": other["email"].upper()}
    )
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("A customer with this email already exists.")


async def test_an_email_that_was_given_up_is_free(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client, email="first@example.com")
    path = f"/v1/customers/{customer['id']}"
    assert (await client.patch(path, json={"email": "second@example.com"})).status_code == 200
    await create_customer(client, email="first@example.com")
    answer = await client.post("/v1/customers", json={"email": "second@example.com"})
    assert answer.status_code == 409


async def test_the_same_email_may_be_written_in_another_way(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    upper = customer["email"].upper()
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={"email": upper})
    assert answer.json() == customer | {"email": upper}


async def test_nothing_at_all_changes_nothing(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client, **FULL)
    answer = await client.patch(f"/v1/customers/{customer['id']}", json={})
    assert answer.status_code == 200
    assert answer.json() == customer


async def test_a_customer_that_never_was_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/v1/customers/cus_nobody", json={"name": "Ama"})
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "The requested customer resource 'cus_nobody' was not found.",
    }
