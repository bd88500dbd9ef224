"""What many ask for at once."""

import asyncio
from collections import Counter

import httpx
import pytest

from tests.support.customers import create_customer, create_wallet

TWINS = 8


async def test_of_many_creations_with_one_email_one_succeeds(client: httpx.AsyncClient) -> None:
    spellings = ["contested@example.com", "Contested@example.com"] * (TWINS // 2)
    answers = await asyncio.gather(
        *(client.post("/v1/customers", json={"email": email}) for email in spellings)
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: TWINS - 1}
    assert {answer.json()["error"] for answer in answers if answer.status_code == 409} == {
        "A customer with this email already exists. Find them with GET /customers?email=."
    }
    listed = await client.get("/v1/customers", params={"email": "contested@example.com"})
    assert len(listed.json()["data"]) == 1


async def test_of_many_changes_to_one_email_one_succeeds(client: httpx.AsyncClient) -> None:
    customers = [await create_customer(client) for _ in range(TWINS)]
    change = {"email": "wanted@example.com"}
    answers = await asyncio.gather(
        *(client.patch(f"/v1/customers/{each['id']}", json=change) for each in customers)
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: TWINS - 1}


async def test_two_who_swap_their_emails_are_both_refused(client: httpx.AsyncClient) -> None:
    first, second = [await create_customer(client) for _ in range(2)]
    answers = await asyncio.gather(
        client.patch(f"/v1/customers/{first['id']}", json={"email": second["email"]}),
        client.patch(f"/v1/customers/{second['id']}", json={"email": first["email"]}),
    )
    assert [answer.status_code for answer in answers] == [409, 409]


async def test_twins_under_one_key_make_one_customer(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/customers",
                json={"email": "twins@example.com"},
                headers={"Idempotency-Key": "twin customers"},
            )
            for _ in range(TWINS)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


async def test_twins_under_one_key_make_one_wallet(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/wallets",
                json={"customer_id": customer["id"], "currency": "GHS"},
                headers={"Idempotency-Key": "twin wallets"},
            )
            for _ in range(TWINS)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    listed = await client.get("/v1/wallets", params={"customer_id": customer["id"]})
    assert [wallet["id"] for wallet in listed.json()["data"]] == [answers[0].json()["id"]]


async def test_without_a_key_each_creation_is_another_wallet(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    first = await create_wallet(client, customer["id"])
    second = await create_wallet(client, customer["id"])
    assert first["id"] != second["id"]


@pytest.mark.parametrize("wallets", [1, 4])
async def test_a_deletion_and_wallets_never_both_succeed(
    client: httpx.AsyncClient, wallets: int
) -> None:
    for _ in range(8):
        customer = await create_customer(client)
        body = {"customer_id": customer["id"], "currency": "GHS"}
        deletion, *openings = await asyncio.gather(
            client.delete(f"/v1/customers/{customer['id']}"),
            *(client.post("/v1/wallets", json=body) for _ in range(wallets)),
        )
        opened = Counter(opening.status_code for opening in openings)
        if deletion.status_code == 200:
            assert opened == {404: wallets}
        else:
            assert deletion.status_code == 409
            assert opened == {201: wallets}
