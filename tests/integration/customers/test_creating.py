"""Creating and retrieving customers, as the reference has it."""

import re

import httpx

from tests.support.customers import INSTANT, create_customer

EXAMPLE = {"email": "ama@example.com", "name": "Ama Owusu"}


async def test_the_example_of_the_reference(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client, **EXAMPLE)
    assert re.fullmatch(r"cus_[0-9a-f]{24}", customer.pop("id"))
    assert INSTANT.fullmatch(customer.pop("created_at"))
    assert customer == {
        "email": "ama@example.com",
        "name": "Ama Owusu",
        "phone": None,
        "currency": "GHS",
        "metadata": {},
    }


async def test_a_customer_is_retrieved_with_subscriptions_and_payment_methods(
    client: httpx.AsyncClient,
) -> None:
    customer = await create_customer(client)
    answer = await client.get(f"/v1/customers/{customer['id']}")
    assert answer.status_code == 200
    assert answer.json() == customer | {"subscriptions": [], "payment_methods": []}


async def test_a_customer_that_never_was_is_404(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/customers/cus_nobody")
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "The requested customer resource 'cus_nobody' was not found.",
    }
