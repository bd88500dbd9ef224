"""A rolling restart under load: clients who know one address, and try nothing twice, notice nothing."""

import asyncio
import os
from random import Random

import httpx
import pytest
import pytest_asyncio

from cli.stack import Stack
from projections.verification import verify
from tests.support.balancer import Balancer
from tests.support.http_deployment import HttpDeployment
from tests.support.polling import poll
from tests.support.query_api import create_credentials
from tests.support.rolling_restart import (
    AS_BY_DEFAULT,
    check_clients,
    funded_clients,
    restart_all,
    start_two_of_each,
)
from tests.support.single_try_client import Account
from tests.support.wallet_service import SANDBOX

pytestmark = pytest.mark.timeout(600)


@pytest_asyncio.fixture
async def deployment(stack: Stack):
    async with HttpDeployment.on(stack, **AS_BY_DEFAULT) as running:
        await start_two_of_each(running)
        yield running


async def test_a_rolling_restart_is_not_noticed(deployment: HttpDeployment) -> None:
    seed = int(os.environ.get("WALLET_TEST_SEED", "0")) or Random().randrange(1, 10**6)
    print(f"WALLET_TEST_SEED={seed} draws the same requests")  # noqa: T201
    key = await create_credentials(deployment.settings.database_url, SANDBOX)
    account = Account()
    async with (
        Balancer.over([*deployment.ports.values()]) as balancer,
        httpx.AsyncClient(base_url=balancer.url, auth=key, timeout=30) as client,
    ):
        await poll(lambda: len(balancer.ready) == 2)
        clients = await funded_clients(client, balancer, key, account, seed)
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for each in clients:
                group.create_task(each.run_while(lambda: not done.is_set() and not account.errors))
            await restart_all(deployment, balancer, account)
            done.set()
        assert not account.errors, f"seed {seed}: {account}\n{deployment.logs()}"
        assert balancer.unanswered == 0
        assert account.told_to_close > 0
        assert min(account.answers.values()) > 0
        await check_clients(client, clients)
    await deployment.until_settled()
    proof = await verify(deployment.settings)
    assert proof.passed, proof.first
    print(f"{account.answers.total():,} requests, {account.told_to_close} told to close")  # noqa: T201
