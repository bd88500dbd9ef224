"""The database says nothing any more: every request is answered all the same, and none stays."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx

from cli.stack import Stack
from projections.queries import open_pool
from tests.support.customers import create_customer
from tests.support.polling import poll
from tests.support.query_api import running_api
from tests.support.silent_network import SilentNetwork
from tests.support.wallet_service import SANDBOX, wallet_service

DEADLINE_S = 4.0
LATE_S = 3.5
"""What an answer may take beyond the deadline on a machine that is busy: whoever waits for the
database once more is later than that."""

SAFE = "A retry with the same reference, or the same Idempotency-Key, is safe."

TIMES = 6
"""How often everything is asked for: the connections of all pools are taken long before."""


@asynccontextmanager
async def _api_behind_network(
    stack: Stack,
) -> AsyncIterator[tuple[httpx.AsyncClient, SilentNetwork]]:
    async with (
        wallet_service(stack, with_engine=False) as service,
        SilentNetwork(service.settings.database_url).running() as network,
    ):
        deadline_ms = int(DEADLINE_S * 1000)
        # the same, as they are by default: whichever is over first, nobody is late
        own = service.settings.model_dump() | {
            "api_deadline_ms": deadline_ms,
            "database_timeout_ms": deadline_ms,
        }
        del own["database_url"]
        try:
            async with running_api(network.url, owner=SANDBOX, **own) as client:
                yield client, network
        finally:
            network.recover()


def _requests(
    client: httpx.AsyncClient, customer_id: str
) -> list[Coroutine[Any, Any, httpx.Response]]:
    customer = f"/v1/customers/{customer_id}"
    wallet = "/v2/wallets/wal_1"
    new_wallet = {"customer_id": customer_id, "currency": "GHS"}
    debit = {"amount": 1, "reference": "r", "description": "d"}
    return [
        client.get(wallet),
        client.get(f"{wallet}/transactions"),
        client.get(f"{wallet}/topups"),
        client.get("/v1/wallets"),
        client.post("/v1/wallets", json=new_wallet),
        client.post("/v1/wallets", json=new_wallet, headers={"Idempotency-Key": "opening"}),
        client.post(f"{wallet}/debit", json=debit),
        client.get("/v1/customers"),
        client.get(customer),
        client.patch(customer, json={"name": "Ama"}),
        client.delete(customer),
        client.get("/checkout/no-such-token"),
        client.post("/checkout/no-such-token/pay"),
        client.post("/checkout/no-such-token/cancel"),
        client.get("/readyz"),
    ]


def _tasks() -> int:
    return sum(
        "SilentNetwork" not in getattr(task.get_coro(), "__qualname__", "")
        for task in asyncio.all_tasks()
    )


async def test_every_request_is_answered_in_time_and_leaves_nothing(stack: Stack) -> None:
    async with _api_behind_network(stack) as (client, network):
        customer = await create_customer(client)
        before = _tasks()
        network.fall_silent()
        began = time.monotonic()
        answers = await asyncio.gather(
            *(each for _ in range(TIMES) for each in _requests(client, customer["id"]))
        )
        assert time.monotonic() - began < DEADLINE_S + LATE_S
        # who has pressed Pay is sent to the page, which says how it is
        assert {answer.status_code for answer in answers} <= {503, 303}
        for answer in answers:
            if answer.status_code == 503 and answer.request.url.path.startswith("/v"):
                tells = SAFE in answer.text
                assert tells == (answer.request.method != "GET"), answer.text
        # a statement may take as long as a request, and its cancellation as well
        await poll(lambda: _tasks() < before + TIMES, timeout_s=4 * DEADLINE_S)

        network.recover()
        assert (await client.get(f"/v1/customers/{customer['id']}")).status_code == 200


async def test_the_api_ends_while_the_database_is_silent(stack: Stack) -> None:
    async with _api_behind_network(stack) as (client, network):
        customer = await create_customer(client)
        network.fall_silent()
        await asyncio.gather(*_requests(client, customer["id"]))
        began = time.monotonic()
    assert time.monotonic() - began < 20


async def test_a_process_that_stands_still_does_not_keep_its_locks(stack: Stack) -> None:
    async with (
        wallet_service(stack, with_engine=False) as service,
        open_pool(
            service.settings.database_url, timeout_s=1, connections_max=1, read_only=False
        ) as pool,
    ):
        customer = await create_customer(service.client)
        async with pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute("SELECT FROM customers FOR UPDATE")
            change = await service.client.patch(
                f"/v1/customers/{customer['id']}", json={"name": "Ama"}
            )
    assert change.status_code == 200
