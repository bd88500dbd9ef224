"""A rolling restart of a deployment, while clients call through a balancer."""

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import httpx

from bench.connection import basic
from tests.support.balancer import Balancer
from tests.support.databases import connection_to
from tests.support.http_books import fund_shared
from tests.support.http_deployment import HttpDeployment
from tests.support.polling import poll, poll_async
from tests.support.query_api import walk
from tests.support.single_try_client import Account, SingleTryClient, movements_of

CLIENTS = 8
CLOSING_CLIENTS = 2
"""Of them: those that open a connection for each request."""
ANSWERS_BETWEEN = 100
"""Before, between and after the restarts."""
AS_BY_DEFAULT = {"session_timeout_ms": 10_000, "api_drain_ms": 5_000}
"""Of the settings that other tests have quicker."""

_KINDS = ("projector", "engine", "api")
"""In the order that the operators' handbook asks for."""
_FUNDS = 10**9
_STEP_S_MAX = 90
_AT_WORK = {
    "engine": "SELECT DISTINCT owner AS worker FROM shards WHERE owner IS NOT NULL",
    "projector": """
        SELECT pid::text AS worker FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'wallet-projector signals'
    """,
}


async def start_two_of_each(deployment: HttpDeployment) -> None:
    """Start two processes of each kind, and wait until all of them are at work."""
    for kind in _KINDS:
        for number in range(2):
            deployment.start(kind, number)
    await deployment.until_ready()
    for kind in _AT_WORK:
        await _until_two(deployment, kind, set())


async def funded_clients(
    client: httpx.AsyncClient,
    balancer: Balancer,
    key: tuple[str, str],
    account: Account,
    seed: int,
) -> list[SingleTryClient]:
    """Clients with a new wallet each, which are not running yet."""
    return [
        SingleTryClient(
            balancer.port,
            basic(*key),
            wallet_id,
            _FUNDS,
            Random(f"{seed}/{number}"),
            account,
            keeps_alive=number >= CLOSING_CLIENTS,
        )
        for number, wallet_id in enumerate((await fund_shared(client, CLIENTS)).shared)
    ]


async def check_clients(client: httpx.AsyncClient, clients: list[SingleTryClient]) -> None:
    """What each was told has happened, once, and nothing else has."""
    for each in clients:
        path = f"/v1/wallets/{each.wallet_id}"
        moved = movements_of(await walk(client, f"{path}/transactions", limit=100))
        assert moved == each.movements | {"fund": _FUNDS}
        assert (await client.get(path)).json()["balance"] == each.balance


async def restart_all(deployment: HttpDeployment, balancer: Balancer, account: Account) -> None:
    """Every process in turn, each once the one before it is back."""
    for kind in _KINDS:
        for number in range(2):
            await more_answers(account)
            back = await _sign_of_return(deployment, balancer, kind, number)
            old = deployment.processes[kind, number]
            await deployment.stop(kind, number)
            assert old.returncode == 0, f"{old.returncode}: {old.log_tail(20)}"
            deployment.start(kind, number)
            if not account.errors:
                await back()
    await more_answers(account)


async def more_answers(account: Account) -> None:
    """Wait until clients have had some more answers, or an error."""
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
