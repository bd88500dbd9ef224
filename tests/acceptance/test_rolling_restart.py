"""A rolling restart under load: clients who know one address, and try nothing twice, notice nothing."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import httpx
import pytest
import pytest_asyncio

from bench.connection import basic
from cli.stack import Stack
from projections.verification import verify
from tests.support.balancer import Balancer
from tests.support.databases import connection_to
from tests.support.http_books import fund_shared
from tests.support.http_deployment import HttpDeployment
from tests.support.polling import poll, poll_async
from tests.support.query_api import create_credentials, walk
from tests.support.single_try_client import Account, SingleTryClient, movements_of
from tests.support.wallet_service import SANDBOX

CLIENTS = 8
CLOSING_CLIENTS = 2
"""Of them: those that open a connection for each request."""
ANSWERS_BETWEEN = 100
"""Before, between and after the restarts."""

_FUNDS = 10**9
_STEP_S_MAX = 90
_AT_WORK = {
    "engine": "SELECT DISTINCT owner AS worker FROM shards WHERE owner IS NOT NULL",
    "projector": """
        SELECT pid::text AS worker FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'wallet-projector signals'
    """,
}

pytestmark = pytest.mark.timeout(600)


@pytest_asyncio.fixture
async def deployment(stack: Stack):
    # what production has by default
    changes = {"session_timeout_ms": 10_000, "api_drain_ms": 5_000}
    async with HttpDeployment.on(stack, **changes) as running:
        for kind in ("api", "engine", "projector"):
            for number in range(2):
                running.start(kind, number)
        await running.until_ready()
        await _until_two(running, "engine", set())
        yield running


async def test_a_rolling_restart_is_not_noticed(deployment: HttpDeployment) -> None:
    seed = int(os.environ.get("WALLET_TEST_SEED", "0")) or Random().randrange(1, 10**6)
    print(f"WALLET_TEST_SEED={seed} draws the same requests")  # noqa: T201
    key = await create_credentials(deployment.settings.database_url, SANDBOX)
    async with (
        Balancer.over([*deployment.ports.values()]) as balancer,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{balancer.port}", auth=key, timeout=30
        ) as client,
    ):
        await poll(lambda: len(balancer.ready) == 2, timeout_s=_STEP_S_MAX)
        wallets = [*(await fund_shared(client, CLIENTS)).shared]
        account = Account()
        clients = [
            SingleTryClient(
                balancer.port,
                basic(*key),
                wallet_id,
                _FUNDS,
                Random(f"{seed}/{number}"),
                account,
                keeps_alive=number >= CLOSING_CLIENTS,
            )
            for number, wallet_id in enumerate(wallets)
        ]
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in clients:
                group.create_task(each.run_while(lambda: not done.is_set() and not account.errors))
            await _restart_all(deployment, balancer, account)
            done.set()
        assert not account.errors, f"seed {seed}: {account}\n{deployment.logs()}"
        assert balancer.unanswered == 0
        assert account.told_to_close > 0
        assert min(account.answers.values()) > 0
        for each in clients:
            path = f"/v1/wallets/{each.wallet_id}"
            moved = movements_of(await walk(client, f"{path}/transactions", limit=100))
            assert moved == each.movements | {"fund": _FUNDS}
            assert (await client.get(path)).json()["balance"] == each.balance
    await deployment.until_settled()
    proof = await verify(deployment.settings)
    assert proof.passed, proof.first
    print(f"{account.answers.total():,} requests, {account.told_to_close} told to close")  # noqa: T201


async def _restart_all(deployment: HttpDeployment, balancer: Balancer, account: Account) -> None:
    """Every process in turn, each once the one before it is back."""
    for kind in ("api", "engine", "projector"):
        for number in range(2):
            await _load(account)
            back = await _sign_of_return(deployment, balancer, kind, number)
            old = deployment.processes[kind, number]
            await deployment.stop(kind, number)
            assert old.returncode == 0, f"{old.returncode}: {old.log_tail(20)}"
            deployment.start(kind, number)
            if not account.errors:
                await back()
    await _load(account)


async def _load(account: Account) -> None:
    enough = account.answers.total() + ANSWERS_BETWEEN
    await poll(
        lambda: account.answers.total() >= enough or bool(account.errors), timeout_s=_STEP_S_MAX
    )


async def _sign_of_return(
    deployment: HttpDeployment, balancer: Balancer, kind: str, number: int
) -> Callable[[], Awaitable[None]]:
    """What waits for a process to do its work, as whoever restarts the next one would."""
    if kind == "api":
        port = deployment.ports[number]
        return partial(poll, lambda: port in balancer.ready, timeout_s=_STEP_S_MAX)
    return partial(_until_two, deployment, kind, await _at_work(deployment, kind))


async def _until_two(deployment: HttpDeployment, kind: str, before: set[str]) -> None:
    """Wait until two processes of the kind are at work, and not the two of before."""

    async def two_others() -> bool:
        workers = await _at_work(deployment, kind)
        return len(workers) == 2 and workers != before

    await poll_async(two_others, timeout_s=_STEP_S_MAX)


async def _at_work(deployment: HttpDeployment, kind: str) -> set[str]:
    async with connection_to(deployment.settings.database_url) as connection:
        return {row["worker"] for row in await connection.fetch(_AT_WORK[kind])}
