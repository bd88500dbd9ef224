"""Wallets on their way when their customer is deleted, or when the process that makes them dies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from cli.processes import service_argv
from cli.stack import ManagedProcess, Stack
from cli.stack.ports import free_port
from engine.topology import home
from schemas.commands import CreateWallet, encode_command
from tests.support.customers import create_customer
from tests.support.databases import connection_to
from tests.support.polling import poll_async
from tests.support.query_api import SECRET_KEYS, create_credentials
from tests.support.wallet_command import environment
from tests.support.wallet_service import SANDBOX, WalletService, wallet_service

DEADLINE_MS = 5_000
_numbers = count()


@pytest_asyncio.fixture(scope="module")
async def service(stack: Stack) -> AsyncIterator[WalletService]:
    async with wallet_service(stack, api_deadline_ms=DEADLINE_MS) as running:
        yield running


@asynccontextmanager
async def locked(service: WalletService, table: str) -> AsyncIterator[None]:
    """Nobody changes a row of the table meanwhile."""
    async with (
        connection_to(service.settings.database_url) as connection,
        connection.transaction(),
    ):
        await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


async def sent(service: WalletService) -> int:
    """How many commands there are in the topic."""
    settings = service.settings
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap) as consumer:
        places = [
            TopicPartition(settings.commands_topic, each) for each in range(settings.partitions)
        ]
        return sum((await consumer.end_offsets(places)).values())


async def intended(database: asyncpg.Connection, customer_id: str) -> list[str]:
    rows = await database.fetch(
        "SELECT wallet_id FROM wallet_intents WHERE customer_id = $1", customer_id
    )
    return [row["wallet_id"] for row in rows]


async def opened(database: asyncpg.Connection, wallet_ids: list[str]) -> int:
    """How many times any of them was opened, as the log has it."""
    found: int = await database.fetchval(
        "SELECT count(*) FROM log WHERE wallet_id = ANY ($1) AND type = 'wallet_created'",
        wallet_ids,
    )
    return found


@dataclass
class Doomed:
    """An API process that is going to be killed."""

    process: ManagedProcess
    client: httpx.AsyncClient


@asynccontextmanager
async def doomed_api(
    stack: Stack, service: WalletService, **variables: str
) -> AsyncIterator[Doomed]:
    port = free_port(set())
    env = environment(service.settings) | {
        "WALLET_SECRET_KEYS": SECRET_KEYS,
        "WALLET_API_PORT": str(port),
        # it is dead before it could answer that the outcome is not known
        "WALLET_API_DEADLINE_MS": "60000",
        **variables,
    }
    process = stack.spawn(f"doomed-api-{next(_numbers)}", service_argv("api"), env)
    auth = await create_credentials(service.settings.database_url, SANDBOX)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, auth=auth, timeout=30) as client:
            await poll_async(lambda: _answers(client))
            yield Doomed(process, client)
    finally:
        await process.kill()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class Attempt:
    """Two wallets of one customer, asked for under a key each, of which nobody got an answer."""

    customer_id: str
    keys: tuple[str, str]

    async def ask(self, client: httpx.AsyncClient, key: str) -> httpx.Response:
        body = {"customer_id": self.customer_id, "currency": "GHS"}
        return await client.post("/v1/wallets", json=body, headers={"Idempotency-Key": key})


async def attempt(client: httpx.AsyncClient) -> Attempt:
    customer = await create_customer(client)
    return Attempt(customer["id"], (f"{customer['id']} a", f"{customer['id']} b"))


async def unanswered(asking: list[asyncio.Task[httpx.Response]]) -> None:
    for each in asking:
        with pytest.raises(httpx.TransportError):
            await each


async def before_sending(
    stack: Stack, service: WalletService, database: asyncpg.Connection, wanted: Attempt
) -> None:
    """Killed with the intents written, and Kafka never reached."""
    nowhere = f"127.0.0.1:{free_port(set())}"
    async with doomed_api(stack, service, WALLET_KAFKA_BOOTSTRAP=nowhere) as doomed:
        asking = [asyncio.create_task(wanted.ask(doomed.client, key)) for key in wanted.keys]
        await poll_async(lambda: _are_intended(database, wanted))
        await doomed.process.kill()
        await unanswered(asking)


async def before_the_outcome(
    stack: Stack, service: WalletService, database: asyncpg.Connection, wanted: Attempt
) -> None:
    """Killed with the commands sent and not decided."""
    before = await sent(service)
    async with doomed_api(stack, service) as doomed:
        async with locked(service, "shards"):
            asking = [asyncio.create_task(wanted.ask(doomed.client, key)) for key in wanted.keys]
            await poll_async(lambda: _are_sent(service, before + 2))
            await doomed.process.kill()
        await unanswered(asking)


async def before_the_answer(
    stack: Stack, service: WalletService, database: asyncpg.Connection, wanted: Attempt
) -> None:
    """Killed with the wallets made, and the intents still there."""
    async with doomed_api(stack, service) as doomed:
        async with locked(service, "shards"):
            asking = [asyncio.create_task(wanted.ask(doomed.client, key)) for key in wanted.keys]
            await poll_async(lambda: _are_intended(database, wanted))
            wallet_ids = await intended(database, wanted.customer_id)
            until_killed = locked(service, "wallet_intents")
            await until_killed.__aenter__()
        await poll_async(lambda: _are_opened(database, wallet_ids))
        await doomed.process.kill()
        await until_killed.__aexit__(None, None, None)
        await unanswered(asking)


async def _are_intended(database: asyncpg.Connection, wanted: Attempt) -> bool:
    return len(await intended(database, wanted.customer_id)) == len(wanted.keys)


async def _are_sent(service: WalletService, size: int) -> bool:
    return await sent(service) >= size


async def _are_opened(database: asyncpg.Connection, wallet_ids: list[str]) -> bool:
    return await opened(database, wallet_ids) == len(wallet_ids)


Crash = Callable[[Stack, WalletService, asyncpg.Connection, Attempt], Any]


@pytest.mark.parametrize("crash", [before_sending, before_the_outcome, before_the_answer])
async def test_a_crash_loses_no_wallet_and_makes_none_twice(
    stack: Stack,
    service: WalletService,
    client: httpx.AsyncClient,
    database: asyncpg.Connection,
    crash: Crash,
) -> None:
    wanted = await attempt(client)
    await crash(stack, service, database, wanted)
    at_once, later = wanted.keys
    wallet_ids = await intended(database, wanted.customer_id)
    assert len(wallet_ids) == 2

    first = await wanted.ask(client, at_once)
    assert first.status_code == 201, first.text
    assert first.json()["id"] in wallet_ids
    await poll_async(lambda: _is_settled(database, wanted))
    second = await wanted.ask(client, later)
    assert second.status_code == 201
    assert {first.json()["id"], second.json()["id"]} == set(wallet_ids)
    for key, answer in zip(wanted.keys, (first, second), strict=True):
        assert (await wanted.ask(client, key)).content == answer.content
    assert await opened(database, wallet_ids) == 2
    listed = await client.get("/v1/wallets", params={"customer_id": wanted.customer_id})
    assert {wallet["id"] for wallet in listed.json()["data"]} == set(wallet_ids)


async def _is_settled(database: asyncpg.Connection, wanted: Attempt) -> bool:
    return not await intended(database, wanted.customer_id)


async def test_what_a_crash_left_is_made_though_nobody_asks_again(
    stack: Stack,
    service: WalletService,
    client: httpx.AsyncClient,
    database: asyncpg.Connection,
) -> None:
    wanted = await attempt(client)
    await before_sending(stack, service, database, wanted)
    wallet_ids = await intended(database, wanted.customer_id)
    assert await opened(database, wallet_ids) == 0
    await poll_async(lambda: _is_settled(database, wanted))
    assert await opened(database, wallet_ids) == 2


async def test_a_deletion_waits_for_a_wallet_that_is_on_its_way(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    wanted = await attempt(client)
    async with locked(service, "shards"):
        asking = asyncio.create_task(wanted.ask(client, wanted.keys[0]))
        await poll_async(lambda: _is_begun(database, wanted))
        deleting = asyncio.create_task(client.delete(f"/v1/customers/{wanted.customer_id}"))
        done, _ = await asyncio.wait({deleting}, timeout=0.5)
        assert not done
    wallet, refusal = await asyncio.gather(asking, deleting)
    assert wallet.status_code == 201, wallet.text
    assert refusal.status_code == 409, refusal.text
    assert wallet.json()["id"] in refusal.json()["error"]


async def _is_begun(database: asyncpg.Connection, wanted: Attempt) -> bool:
    return len(await intended(database, wanted.customer_id)) == 1


async def test_a_deletion_finds_out_what_became_of_a_wallet_that_nobody_answered_for(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    customer = await create_customer(client)
    nowhere = f"127.0.0.1:{free_port(set())}"
    async with service.another_api(kafka_bootstrap=nowhere) as cut_off:
        body = {"customer_id": customer["id"], "currency": "GHS"}
        opening = await cut_off.post("/v1/wallets", json=body)
        assert opening.status_code == 503
        assert opening.headers["retry-after"]
        deletion = await cut_off.delete(f"/v1/customers/{customer['id']}")
        assert deletion.status_code == 503
        assert deletion.headers["retry-after"]
        assert deletion.json()["error"].startswith("Whether all wallets of this customer")
    refusal = await client.delete(f"/v1/customers/{customer['id']}")
    assert refusal.status_code == 409, refusal.text


async def test_a_deletion_sees_a_wallet_that_the_read_models_do_not_show_yet(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    async with locked(service, "wallets_1"):
        wallet_id = await made_elsewhere(service, database, customer["id"], shard=0)
        deleting = asyncio.create_task(client.delete(f"/v1/customers/{customer['id']}"))
        done, _ = await asyncio.wait({deleting}, timeout=0.5)
        assert not done
    refusal = await deleting
    assert refusal.status_code == 409, refusal.text
    assert wallet_id in refusal.json()["error"]


async def test_a_deletion_sees_a_wallet_that_was_made_since_it_looked(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    customer = await create_customer(client)
    for shard in (0, 1):
        await made_elsewhere(service, database, "cus_warmup", shard=shard)
    await poll_async(lambda: _is_shown(database))
    async with unshown(service, 1):
        async with unshown(service, 0):
            await made_elsewhere(service, database, "cus_first", shard=0)
            deleting = asyncio.create_task(client.delete(f"/v1/customers/{customer['id']}"))
            await asyncio.wait({deleting}, timeout=0.3)
            wallet_id = await made_elsewhere(service, database, customer["id"], shard=1)
        # what the first look lacked is shown by now, the wallet is not
        await asyncio.wait({deleting}, timeout=0.5)
        assert not deleting.done()
    refusal = await deleting
    assert refusal.status_code == 409, refusal.text
    assert wallet_id in refusal.json()["error"]


async def test_no_wallet_is_begun_while_its_customer_is_being_deleted(
    service: WalletService, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    wanted = await attempt(client)
    async with locked(service, "customer_audit"):
        deleting = asyncio.create_task(client.delete(f"/v1/customers/{wanted.customer_id}"))
        await poll_async(lambda: _is_locked(database, wanted.customer_id))
        asking = asyncio.create_task(wanted.ask(client, wanted.keys[0]))
        await asyncio.wait({asking}, timeout=0.3)
    deletion, opening = await asyncio.gather(deleting, asking)
    assert deletion.status_code == 200, deletion.text
    assert opening.status_code == 404, opening.text


@asynccontextmanager
async def unshown(service: WalletService, shard: int) -> AsyncIterator[None]:
    """What the shard's log has is not taken into the wallets meanwhile."""
    async with (
        connection_to(service.settings.database_url) as connection,
        connection.transaction(),
    ):
        rows = await connection.fetch(
            "SELECT FROM checkpoints WHERE name = 'wallets' AND shard = $1 FOR UPDATE", shard
        )
        assert rows
        yield


async def _is_shown(database: asyncpg.Connection) -> bool:
    behind = await database.fetch("SELECT FROM live_checkpoints WHERE position < log_position")
    return not behind


async def _is_locked(database: asyncpg.Connection, customer_id: str) -> bool:
    """Whether a change is waiting for the end of `locked`, with the customer in its hands."""
    free = await database.fetch(
        "SELECT FROM customers WHERE customer_id = $1 FOR UPDATE SKIP LOCKED", customer_id
    )
    waiting = await database.fetch(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%customer_audit%'"
    )
    return bool(waiting) and not free


async def made_elsewhere(
    service: WalletService, database: asyncpg.Connection, customer_id: str, *, shard: int
) -> str:
    """A wallet that an upstream service makes, in the log when this returns."""
    partitions = service.settings.partitions
    wallet_id = next(
        name for name in map("wal_elsewhere{}".format, _numbers) if home(name, partitions) == shard
    )
    command = CreateWallet(
        wallet_id=wallet_id,
        reference="made elsewhere",
        merchant_id=SANDBOX.merchant_id,
        environment=SANDBOX.environment,
        customer_id=customer_id,
        currency="GHS",
    )
    await send(service, command)
    await poll_async(lambda: _are_opened(database, [wallet_id]))
    return wallet_id


async def send(service: WalletService, command: CreateWallet) -> None:
    """As an upstream service does."""
    async with AIOKafkaProducer(bootstrap_servers=service.settings.kafka_bootstrap) as producer:
        await producer.send_and_wait(
            service.settings.commands_topic,
            encode_command(command),
            key=command.wallet_id.encode(),
        )
