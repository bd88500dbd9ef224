"""Idempotency-Key on every POST: the first answer again, and one effect."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest
import pytest_asyncio

from schemas.ids import Owner
from tests.support.customers import create_customer
from tests.support.databases import connection_to
from tests.support.money_calls import (
    DEBIT,
    balance,
    credit,
    debit,
    entries_of,
    open_wallet,
    records_decided,
)
from tests.support.wallet_service import SANDBOX, WalletService

TWINS = 24
REPLAYED = "idempotency-replayed"


def _key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest_asyncio.fixture
async def other_process(service: WalletService) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a second API on the same database and topics, with a key of its own."""
    async with service.another_api() as client:
        yield client


@pytest_asyncio.fixture
async def database(service: WalletService) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(service.settings.database_url) as connection:
        yield connection


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_the_first_answer_again(client: httpx.AsyncClient, version: str) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"}
    key = _key()
    first = await client.post(f"/{version}/wallets", json=body, headers=key)
    again = await client.post(f"/{version}/wallets", json=body, headers=key)
    assert first.status_code == 201
    assert REPLAYED not in first.headers
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers[REPLAYED] == "true"


async def test_without_a_key_it_is_done_again(client: httpx.AsyncClient) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"}
    ids = [(await client.post("/v1/wallets", json=body)).json()["id"] for _ in range(2)]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("action", ["freeze", "close"])
async def test_a_status_is_changed_once_under_a_key(
    client: httpx.AsyncClient, action: str
) -> None:
    wallet_id, key = await open_wallet(client), _key()
    answers = [
        await client.post(f"/v1/wallets/{wallet_id}/{action}", headers=key) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    bare = await client.post(f"/v1/wallets/{wallet_id}/{action}")
    assert bare.status_code == 409


async def test_the_answer_stays_though_things_have_changed(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 100), _key()
    first = await client.post(f"/v1/wallets/{wallet_id}/freeze", headers=key)
    await credit(client, wallet_id, 900, "later")
    await client.post(f"/v1/wallets/{wallet_id}/unfreeze")
    again = await client.post(f"/v1/wallets/{wallet_id}/freeze", headers=key)
    assert again.content == first.content
    assert (await client.get(f"/v1/wallets/{wallet_id}")).json()["status"] == "active"


async def test_a_refusal_is_kept_too(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client), _key()
    refused = [
        await client.post(f"/v1/wallets/{wallet_id}/unfreeze", headers=key) for _ in range(2)
    ]
    assert [answer.status_code for answer in refused] == [409, 409]
    assert refused[1].headers[REPLAYED] == "true"
    await client.post(f"/v1/wallets/{wallet_id}/freeze")
    again = await client.post(f"/v1/wallets/{wallet_id}/unfreeze", headers=key)
    assert (again.status_code, again.content) == (409, refused[0].content)


async def test_another_body_or_path_is_409(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v2/wallets/{wallet_id}/debit"
    await client.post(path, json=DEBIT, headers=key)
    for other, body in [
        (path, DEBIT | {"amount": 501}),
        (path, DEBIT | {"reference": "another"}),
        (f"/v2/wallets/{wallet_id}/credit", DEBIT),
        (path.replace("v2", "v1"), DEBIT),
    ]:
        answer = await client.post(other, json=body, headers=key)
        assert answer.status_code == 409
        assert "Idempotency-Key" in answer.text
    told = await client.post(path, json=DEBIT | {"amount": 501}, headers=key)
    assert told.json()["error"]["code"] == "idempotency_conflict"
    assert await balance(client, wallet_id) == 14500


async def test_the_layout_of_the_json_makes_no_difference(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    first = await client.post(path, json=DEBIT, headers=key)
    laid_out = (
        b'{ "reference":"sms_batch_8821",\n"description":"10 SMS messages sent","amount":500}'
    )
    again = await client.post(path, content=laid_out, headers=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers[REPLAYED] == "true"


async def test_a_key_belongs_to_its_merchant_and_environment(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    for owner in (Owner("mch_1", "live"), Owner("mch_2", "sandbox")):
        async with service.calling_as(owner) as stranger:
            missing = await stranger.post(path, json=DEBIT, headers=key)
            assert missing.status_code == 404
    first = await client.post(path, json=DEBIT, headers=key)
    assert first.status_code == 200
    async with service.calling_as(SANDBOX) as colleague:
        again = await colleague.post(path, json=DEBIT, headers=key)
    assert again.content == first.content


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\there"])
async def test_a_key_that_cannot_be_is_400(client: httpx.AsyncClient, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    answer = await client.post("/v1/wallets/wal_1/freeze", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "Idempotency-Key must be 1 to 255 printable ASCII characters."
    )


async def test_two_keys_are_400(client: httpx.AsyncClient) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await client.post("/v1/wallets/wal_1/freeze", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Idempotency-Key must be given once."


async def test_twins_over_two_processes_make_one_wallet(
    client: httpx.AsyncClient, other_process: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"}
    key = _key()
    answers = await asyncio.gather(
        *(
            (client, other_process)[number % 2].post("/v1/wallets", json=body, headers=key)
            for number in range(TWINS)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    listed = await client.get("/v1/wallets", params={"customer_id": customer["id"]})
    assert [wallet["id"] for wallet in listed.json()["data"]] == [answers[0].json()["id"]]


async def test_twins_over_two_processes_freeze_once(
    service: WalletService, client: httpx.AsyncClient, other_process: httpx.AsyncClient
) -> None:
    wallet_id, key = await open_wallet(client), _key()
    answers = await asyncio.gather(
        *(
            (client, other_process)[number % 2].post(
                f"/v1/wallets/{wallet_id}/freeze", headers=key
            )
            for number in range(TWINS)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert await entries_of(service.settings.database_url, wallet_id) == [
        "wallet_created",
        "frozen",
    ]


async def test_twins_under_other_keys_debit_once_by_their_reference(
    client: httpx.AsyncClient, other_process: httpx.AsyncClient
) -> None:
    wallet_id = await open_wallet(client, 15000)
    answers = await asyncio.gather(
        *(
            (client, other_process)[number % 2].post(
                f"/v1/wallets/{wallet_id}/debit", json=DEBIT, headers=_key()
            )
            for number in range(TWINS)
        )
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    assert await balance(client, wallet_id) == 14500


async def test_an_answer_outlives_the_process(
    client: httpx.AsyncClient, service: WalletService
) -> None:
    wallet_id, key = await open_wallet(client), _key()
    path = f"/v1/wallets/{wallet_id}/freeze"
    async with service.another_api() as before:
        first = await before.post(path, headers=key)
    async with service.another_api() as after:
        again = await after.post(path, headers=key)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers[REPLAYED] == "true"


@pytest.mark.parametrize("lost", ["answer", "everything after the claim"])
async def test_a_death_between_any_two_steps_makes_nothing_twice(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection, lost: str
) -> None:
    customer = await create_customer(client)
    body = {"customer_id": customer["id"], "currency": "GHS"}
    key = _key()
    first = await client.post("/v1/wallets", json=body, headers=key)
    # what a process leaves that dies before it has kept the answer
    await database.execute(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, kept_at = NULL WHERE key = $1",
        key["Idempotency-Key"],
    )
    if lost != "answer":
        # or before it has sent anything: the next one makes the wallet under the same id
        effect_id = secrets.token_hex(12)
        await database.execute(
            "UPDATE idempotency_keys SET effect_id = $2 WHERE key = $1",
            key["Idempotency-Key"],
            effect_id,
        )
        expected = f"wal_{effect_id}"
    else:
        expected = first.json()["id"]
    again = await client.post("/v1/wallets", json=body, headers=key)
    assert again.status_code == 201
    assert again.json()["id"] == expected
    assert await entries_of(service.settings.database_url, expected) == ["wallet_created"]


async def test_a_repeat_sends_nothing(service: WalletService, client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    await client.post(path, json=DEBIT, headers=key)
    before = await records_decided(service.settings.database_url)
    await client.post(path, json=DEBIT, headers=key)
    await debit(client, wallet_id, reference="what follows it")
    assert await records_decided(service.settings.database_url) == before + 1


async def test_keys_are_kept_for_the_hours_that_are_set_and_no_longer(
    client: httpx.AsyncClient, service: WalletService, database: asyncpg.Connection
) -> None:
    keys = [_key(), _key(), _key()]
    for key in keys:
        wallet_id = await open_wallet(client)
        await client.post(f"/v1/wallets/{wallet_id}/freeze", headers=key)
    names = [key["Idempotency-Key"] for key in keys]
    hours = service.settings.idempotency_hours
    for name, created, kept in zip(
        names, (hours - 0.1, hours + 0.1, hours + 0.1), (-1, hours - 0.1, hours + 0.1), strict=True
    ):
        await database.execute(
            "UPDATE idempotency_keys SET created_at = now() - make_interval(secs => $2),"
            " kept_at = now() - make_interval(secs => $3) WHERE key = $1",
            name,
            created * 3600.0,
            kept * 3600.0,
        )
    deadline = asyncio.get_running_loop().time() + 20
    left = names
    while left != names[:2]:
        assert asyncio.get_running_loop().time() < deadline, left
        rows = await database.fetch("SELECT key FROM idempotency_keys WHERE key = ANY ($1)", names)
        left = [name for name in names if name in {row["key"] for row in rows}]
        await asyncio.sleep(0.05)
