"""What each field of a customer and of a new wallet has to be, and the sentence that says so."""

from typing import Any

import httpx
import pytest

from tests.support.customers import create_customer

EMAIL = "email must be a valid email address."
PHONE = "phone must be a phone number in E.164 format, as +233241234567."
NAME = "name must be a string of at most 255 characters."
METADATA_VALUE = (
    "must be a string of at most 500 characters, a number within 64 bits, true, false or null."
)
CURRENCY = "currency must be an ISO 4217 currency code."

WRONG = [
    ({}, "email is required."),
    ({"email": None}, "email is required."),
    ({"email": 5}, EMAIL),
    ({"email": "ama"}, EMAIL),
    ({"email": "ama@"}, EMAIL),
    ({"email": "ama@example"}, EMAIL),
    ({"email": "Ama <ama@example.com>"}, EMAIL),
    ({"email": f"{'a' * 250}@example.com"}, EMAIL),
    ({"phone": "0241234567"}, PHONE),
    ({"phone": "+233 24 123 4567"}, PHONE),
    ({"phone": "233241234567"}, PHONE),
    ({"phone": "+23324"}, PHONE),
    ({"phone": "+999241234567"}, PHONE),
    ({"phone": 233241234567}, PHONE),
    ({"phone": ""}, PHONE),
    ({"name": "a" * 256}, NAME),
    ({"name": ["Ama"]}, NAME),
    ({"name": "A\0ma"}, "name must be text without NUL (U+0000) or half characters."),
    ({"currency": "XAU"}, CURRENCY),
    ({"currency": "ghs"}, CURRENCY),
    ({"currency": "GHC"}, CURRENCY),
    ({"metadata": []}, "metadata must be an object of at most 50 keys."),
    (
        {"metadata": {str(n): n for n in range(51)}},
        "metadata must be an object of at most 50 keys.",
    ),
    ({"metadata": {"plan": {"tier": "gold"}}}, f"metadata.plan {METADATA_VALUE}"),
]


@pytest.mark.parametrize(("fields", "sentence"), WRONG)
async def test_a_new_customer_is_refused_by_the_field(
    client: httpx.AsyncClient, fields: dict[str, Any], sentence: str
) -> None:
    body = fields if sentence.startswith("email") else {"email": "fields@example.com"} | fields
    answer = await client.post("/v1/customers", json=body)
    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": sentence})
    listed = await client.get("/v1/customers", params={"email": "fields@example.com"})
    assert listed.json()["data"] == []


@pytest.mark.parametrize(
    ("fields", "sentence"), [each for each in WRONG if each[0] and each[0] != {"email": None}]
)
async def test_a_change_is_refused_by_the_field(
    client: httpx.AsyncClient, fields: dict[str, Any], sentence: str
) -> None:
    customer = await create_customer(client)
    path = f"/v1/customers/{customer['id']}"
    answer = await client.patch(path, json=fields)
    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": sentence})
    assert customer.items() <= (await client.get(path)).json().items()


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "Ama.Owusu+wallet@Example.COM"},
        {"email": "ama@merchant.test"},
        {"email": "ama@exämple.com"},
        {"phone": "+15551234567"},
        {"phone": "+233241234567"},
        {"name": None, "phone": None, "currency": None, "metadata": None},
        {"name": "Kwabena Ɔ. Mɛnsa"},
        {"currency": "JPY"},
        {"metadata": {"seats": 3, "rate": 0.5, "trial": False, "note": None, "plan": "gold"}},
    ],
)
async def test_what_is_good_comes_back_as_it_was_given(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    absent: dict[str, Any] = {"name": None, "phone": None, "currency": "GHS", "metadata": {}}
    given = {name: value for name, value in fields.items() if value is not None}
    customer = await create_customer(client, **fields)
    assert customer == customer | absent | given
    assert (await client.delete(f"/v1/customers/{customer['id']}")).status_code == 200


async def test_unknown_fields_are_refused_by_version_2_alone(client: httpx.AsyncClient) -> None:
    body = {"email": "unknown@example.com", "nickname": "Ama"}
    refused = await client.post("/v2/customers", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "nickname is not a field of this request."
    assert (await client.post("/v1/customers", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"customer_id": None}, "customer_id is required."),
        ({"customer_id": "wal_a1b2c3"}, "customer_id must be the id of a customer."),
        ({"currency": None}, "currency is required."),
        ({"currency": "XAU"}, CURRENCY),
        ({"currency": "XTS"}, CURRENCY),
        ({"currency": "cedi"}, CURRENCY),
        ({"metadata": 5}, "metadata must be an object of at most 50 keys."),
    ],
)
async def test_a_new_wallet_is_refused_by_the_field(
    client: httpx.AsyncClient, fields: dict[str, Any], sentence: str
) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"} | fields
    answer = await client.post(
        "/v1/wallets", json={name: value for name, value in body.items() if value is not None}
    )
    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": sentence})
    listed = await client.get("/v1/wallets", params={"customer_id": customer["id"]})
    assert listed.json()["data"] == []
