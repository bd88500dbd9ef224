"""Personal data stays in one row, and goes with it."""

import asyncio
import logging
from typing import Any

import asyncpg
import httpx
import pytest

from cli.stack import Stack
from tests.support.customers import create_customer, create_wallet
from tests.support.polling import poll_async
from tests.support.topics import read_topic
from tests.support.wallet_service import WalletService

EMAIL, NAME, PHONE, NOTE = "zinabu@example.com", "Zinabu Quartey", "+233209998877", "limps"
CHANGED = {"email": "quartey@example.com", "name": "Quartey Zinabu", "phone": "+233208887766"}
PERSONAL = ("zinabu", "quartey", "209998877", "208887766", "limps")


def found_in(text: str) -> list[str]:
    """What is personal in it, also where bytes are written as hexadecimal digits."""
    text = text.lower()
    return [each for each in PERSONAL if each in text or each.encode().hex() in text]


async def live_a_life(client: httpx.AsyncClient, key: str) -> dict[str, Any]:
    """Everything that can be done with a customer, but deleting it."""
    body = {"email": EMAIL, "name": NAME, "phone": PHONE, "metadata": {"note": NOTE}}
    headers = {"Idempotency-Key": key}
    answer = await client.post("/v1/customers", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    customer: dict[str, Any] = answer.json()
    path = f"/v1/customers/{customer['id']}"
    assert {each.status_code for each in await several(client, "POST", "/v1/customers", body)} == {
        409
    }
    assert (await client.get("/v1/customers", params={"email": EMAIL})).json()["data"]
    assert (await client.patch(path, json=CHANGED)).status_code == 200
    other = await create_customer(client)
    refused = await client.patch(f"/v1/customers/{other['id']}", json={"email": CHANGED["email"]})
    assert refused.status_code == 409
    bad = await client.patch(path, json={"phone": f"{PHONE}0000000"})
    assert bad.status_code == 400
    wallet = await create_wallet(client, customer["id"])
    assert (await client.delete(path)).status_code == 409
    assert (await client.post(f"/v1/wallets/{wallet['id']}/close")).status_code == 200
    return customer


async def several(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any]
) -> list[httpx.Response]:
    return await asyncio.gather(*(client.request(method, path, json=body) for _ in range(8)))


async def records(service: WalletService) -> list[bytes]:
    """Every key and value of every topic."""
    settings = service.settings
    topics = (settings.commands_topic, settings.events_topic, settings.dead_letters_topic)
    found = [
        record
        for topic in topics
        for records in (await read_topic(settings, topic, settings.partitions)).values()
        for record in records
    ]
    return [part for record in found for part in (record.key, record.value) if part]


def service_lines(caplog: pytest.LogCaptureFixture) -> str:
    """What the service wrote to its log; the tests' own client writes too."""
    return "\n".join(
        caplog.handler.format(record)
        for record in caplog.records
        if not record.name.startswith("httpx")
    )


async def tables_with_personal_data(database: asyncpg.Connection) -> set[str]:
    tables = await database.fetch(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    found = set()
    for (name,) in tables:
        rows = await database.fetch(f'SELECT each::text AS row FROM "{name}" AS each')
        if any(found_in(row["row"]) for row in rows):
            found.add(name)
    return found


async def test_no_record_no_entry_and_no_log_line_tells_of_a_customer(
    stack: Stack,
    service: WalletService,
    client: httpx.AsyncClient,
    database: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="api")
    customer = await live_a_life(client, "a life")
    texts = [record.decode("latin-1") for record in await records(service)]
    assert any(customer["id"] in text for text in texts)
    assert [text for text in texts if found_in(text)] == []
    assert await tables_with_personal_data(database) == {"customers", "idempotency_keys"}

    assert (await client.delete(f"/v1/customers/{customer['id']}")).status_code == 200
    assert await tables_with_personal_data(database) == set()
    lines = service_lines(caplog)
    assert f"/v1/customers/{customer['id']}" in lines
    logs = [path.read_text(errors="replace") for path in stack.data_dir.glob("logs/*.log")]
    assert logs
    assert [found_in(text) for text in (lines, *logs)] == [[]] * (len(logs) + 1)


async def test_whoever_repeats_the_creation_of_a_deleted_customer_is_told_that_it_is_gone(
    client: httpx.AsyncClient,
) -> None:
    body, headers = {"email": EMAIL}, {"Idempotency-Key": "gone"}
    customer = (await client.post("/v1/customers", json=body, headers=headers)).json()
    assert (await client.delete(f"/v1/customers/{customer['id']}")).status_code == 200
    for _ in range(2):
        answer = await client.post("/v1/customers", json=body, headers=headers)
        assert answer.status_code == 404
        assert answer.json()["error"] == (
            f"The requested customer resource '{customer['id']}' was not found."
        )


async def test_an_answer_that_is_kept_after_the_deletion_is_forgotten_too(
    client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    body, headers = {"email": EMAIL}, {"Idempotency-Key": "late"}
    answer = await client.post("/v1/customers", json=body, headers=headers)
    assert (await client.delete(f"/v1/customers/{answer.json()['id']}")).status_code == 200
    assert await tables_with_personal_data(database) == set()
    await database.execute(
        "UPDATE idempotency_keys SET status = 201, body = $1 WHERE key = 'late'", answer.content
    )

    async def forgotten() -> bool:
        return not await tables_with_personal_data(database)

    await poll_async(forgotten)
