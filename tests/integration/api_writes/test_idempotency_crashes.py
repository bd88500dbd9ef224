"""Under an Idempotency-Key: a death before the answer was kept, and keys of the server that change."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest_asyncio

from api.idempotency import Answer, IdempotencyKeys
from api.secret_keys import SecretKeys
from tests.support.customers import create_customer
from tests.support.databases import connection_to
from tests.support.query_api import SECRET_KEYS
from tests.support.wallet_service import SANDBOX, WalletService

NEWER = "another-secret-key-that-only-tests-have"


@pytest_asyncio.fixture
async def database(service: WalletService) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(service.settings.database_url) as connection:
        yield connection


def _key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


async def test_a_creation_that_nobody_answered_for_is_found_though_its_email_was_given_away(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key, body = _key(), {"email": "handed.on@example.com"}
    made = (await client.post("/v1/customers", json=body, headers=key)).json()
    await database.execute(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, kept_at = NULL WHERE key = $1",
        key["Idempotency-Key"],
    )
    change = {"email": "new.address@example.com"}
    assert (await client.patch(f"/v1/customers/{made['id']}", json=change)).status_code == 200
    await create_customer(client, **body)
    again = await client.post("/v1/customers", json=body, headers=key)
    assert again.status_code == 201, again.text
    assert again.json()["id"] == made["id"]


async def test_requests_are_recognised_while_the_servers_keys_are_rotated(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    key, body = _key(), {"email": "rotation@example.com"}
    first = await client.post("/v1/customers", json=body, headers=key)
    async with service.another_api(secret_keys=f"{NEWER},{SECRET_KEYS}") as rotated:
        again = await rotated.post("/v1/customers", json=body, headers=key)
        assert (again.status_code, again.content) == (201, first.content)
        other = await rotated.post("/v1/customers", json=body | {"name": "Ama"}, headers=key)
        assert other.status_code == 409


async def test_of_a_request_a_digest_is_kept_that_only_the_server_can_make(
    service: WalletService, database: asyncpg.Connection
) -> None:
    kept = []
    async with asyncpg.create_pool(service.settings.database_url, min_size=0) as pool:
        for server_key in (SECRET_KEYS, NEWER):
            key = secrets.token_hex(8)
            keys = IdempotencyKeys(pool, SecretKeys((server_key,)))
            await keys.answer(SANDBOX, key, b"the same", secrets.token_hex(12), _made)
            kept.append(
                await database.fetchval("SELECT request FROM idempotency_keys WHERE key = $1", key)
            )
    assert kept[0] != kept[1]


async def test_nothing_is_kept_of_a_customer_who_was_deleted_before_the_answer_was_given(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    assert (await client.delete(f"/v1/customers/{customer['id']}")).status_code == 200
    # a process may have been stopped for longer than anybody looks back
    await database.execute(
        "UPDATE customers SET deleted_at = deleted_at - interval '1 day' WHERE customer_id = $1",
        customer["id"],
    )
    key, effect_id = secrets.token_hex(8), customer["id"].removeprefix("cus_")
    async with asyncpg.create_pool(service.settings.database_url, min_size=0) as pool:
        keys = IdempotencyKeys(pool, SecretKeys((SECRET_KEYS,)))
        answer = await keys.answer(SANDBOX, key, b"", effect_id, _made)
    assert answer == await _made("")
    row = await database.fetchrow("SELECT status, body FROM idempotency_keys WHERE key = $1", key)
    assert tuple(row) == (None, None)


async def _made(_: str) -> Answer:
    return Answer(201, b'{"email":"ama@example.com"}')
