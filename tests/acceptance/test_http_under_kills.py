"""Clients who call while processes are killed: nothing doubled, nothing lost, by their own books.

On a stack of this module's own, for its servers are killed, too.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from random import Random

import httpx
import pytest
import pytest_asyncio

from bench.connection import basic
from cli.stack import Stack
from projections.verification import verify
from tests.support.databases import connection_to
from tests.support.http_books import Books, check_books, fund_shared
from tests.support.http_caller import Caller, Tally
from tests.support.http_client import Client
from tests.support.http_deployment import HttpDeployment
from tests.support.polling import poll
from tests.support.query_api import create_credentials
from tests.support.wallet_service import SANDBOX

REQUESTS = 20_000
CLIENTS = 32
KEYS = 8
SHARED_WALLETS = 4
KILLS = ("api", "engine", "projector", "kafka", "postgres")
AFTER = (0.15, 0.3, 0.45, 0.6, 0.75)
"""Of all requests: when each of them is killed."""

_AWAY_S = 0.5
_CALLING_S_MAX = 600

pytestmark = pytest.mark.timeout(900)


@pytest_asyncio.fixture
async def deployment():
    with tempfile.TemporaryDirectory(prefix="wallet-kills-") as directory:
        async with Stack(Path(directory)) as stack, HttpDeployment.on(stack) as running:
            for kind in ("api", "engine", "projector"):
                for number in range(2):
                    running.start(kind, number)
            await running.until_ready()
            yield running


async def test_no_effect_is_doubled_or_lost(deployment: HttpDeployment) -> None:
    seed = int(os.environ.get("WALLET_TEST_SEED", "0")) or Random().randrange(1, 10**6)
    print(f"WALLET_TEST_SEED={seed} draws the same requests")  # noqa: T201
    keys = [
        await create_credentials(deployment.settings.database_url, SANDBOX, label=f"key {number}")
        for number in range(KEYS)
    ]
    async with httpx.AsyncClient(base_url=deployment.url(0), auth=keys[0], timeout=30) as client:
        before = await fund_shared(client, SHARED_WALLETS)
    tally = Tally()
    ports = [*deployment.ports.values()]
    clients = []
    for number in range(CLIENTS):
        rng = Random(f"{seed}/{number}")
        caller = Caller(ports, basic(*keys[number % KEYS]), rng, tally)
        clients.append(Client(f"c{number}", f"v{1 + number % 2}", caller, rng, [*before.shared]))
    started = time.monotonic()
    try:
        async with asyncio.timeout(_CALLING_S_MAX), asyncio.TaskGroup() as group:
            killing = group.create_task(_kill(deployment, tally))
            calling = [group.create_task(client.run(REQUESTS // CLIENTS)) for client in clients]
            await asyncio.wait(calling)
            await killing
    except* AssertionError as failed:
        first = failed.exceptions[0]
        raise AssertionError(f"seed {seed}: {first}\n{tally}\n{deployment.logs()}") from first
    seconds = time.monotonic() - started
    await _until_quiet(deployment)
    await _hold_books_against(deployment, keys[0], [before, *(client.books for client in clients)])
    kills = ", ".join(KILLS)
    print(  # noqa: T201
        f"{tally.requests:,} requests in {seconds:.0f} s, {tally.retries:,} retries,"
        f" {tally.given_up} given up, {sum(tally.broken.values())} broken connections,"
        f" killed: {kills}; {dict(tally.statuses)}"
    )
    assert tally.requests >= REQUESTS
    assert tally.retries > 0
    assert tally.given_up > 0
    assert tally.broken[ports[0]] > 0
    assert tally.broken[ports[1]] == 0, "an API that was not killed broke connections"


async def _kill(deployment: HttpDeployment, tally: Tally) -> None:
    stack = deployment.stack
    for kind, part in zip(KILLS, AFTER, strict=True):
        await poll(lambda part=part: tally.requests >= part * REQUESTS, timeout_s=_CALLING_S_MAX)
        if kind in ("kafka", "postgres"):
            server = stack.kafka if kind == "kafka" else stack.postgres
            await server.kill()
            await asyncio.sleep(_AWAY_S)
            await server.start()
        else:
            if kind == "api":  # in the middle of a payment, which somebody else has to end
                place = (deployment.ports[0], "pay")
                await poll(lambda place=place: tally.under_way[place], timeout_s=_CALLING_S_MAX)
            await deployment.kill(kind)
            await asyncio.sleep(_AWAY_S)
            deployment.start(kind)


async def _until_quiet(deployment: HttpDeployment) -> None:
    """Nothing that was begun is under way any more."""
    for number in (*deployment.ports,):
        await deployment.stop("api", number)
    await deployment.until_settled()
    deployment.start("api", 0)
    await deployment.until_ready()


async def _hold_books_against(
    deployment: HttpDeployment,
    key: tuple[str, str],
    books: list[Books],
) -> None:
    async with (
        connection_to(deployment.settings.database_url) as connection,
        httpx.AsyncClient(base_url=deployment.url(0), auth=key, timeout=30) as client,
    ):
        await check_books(client, connection, books)
    proof = await verify(deployment.settings)
    assert proof.passed, proof.first
