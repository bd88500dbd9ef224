"""An upgrade of a running system, from what the first release left behind, with load on it."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from api.install import install
from cli.stack import Stack
from projections.verification import verify
from tests.support.balancer import Balancer
from tests.support.databases import connection_to, fresh_database
from tests.support.http_deployment import HttpDeployment
from tests.support.ledger_audit import audit
from tests.support.load import Load
from tests.support.polling import poll, poll_async
from tests.support.query_api import walk
from tests.support.released import Release
from tests.support.rolling_restart import (
    AS_BY_DEFAULT,
    check_clients,
    funded_clients,
    more_answers,
    restart_all,
    start_two_of_each,
)
from tests.support.single_try_client import Account
from tests.support.wallet_command import finish, start

FIRST = "0.1.0"
MIGRATIONS_OF_FIRST = [
    "api/0001_merchants.sql",
    "api/0002_idempotency_keys.sql",
    "api/0003_customers.sql",
    "api/0004_topups.sql",
    "engine/0001_log.sql",
    "projections/0001_projections.sql",
]
AT_ONCE = 3

_SEED = 21
_COMMANDS_MAX = 3_000
_OF_HTTP = re.compile(rb"wal_[0-9a-f]{24}")
_MIGRATIONS = "SELECT name FROM migrations ORDER BY name"
_DECIDED_AROUND = """
SELECT count(*) FILTER (WHERE occurred_at < changed_at),
       count(*) FILTER (WHERE occurred_at > changed_at)
  FROM log, (SELECT max(applied_at) FROM migrations WHERE applied_at > $1) AS change (changed_at)
 WHERE occurred_at > $1
"""
_SCHEMA = """
SELECT format('%s.%s %s %s %s', c.table_name, c.column_name, c.data_type, c.is_nullable,
              coalesce(c.column_default, '')) AS part
  FROM information_schema.columns c WHERE c.table_schema = 'public'
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid))
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
ORDER BY part
"""

pytestmark = pytest.mark.timeout(600)


async def test_the_first_release_is_upgraded_under_load(stack: Stack) -> None:
    release = Release.read(FIRST)
    async with release.restored(stack, **AS_BY_DEFAULT) as deployment:
        settings = deployment.settings
        assert await _parts(settings.database_url, _MIGRATIONS) == MIGRATIONS_OF_FIRST
        await start_two_of_each(deployment)
        load = Load(settings, partitions=settings.partitions, seed=_SEED, tag="more")
        account = Account()
        async with (
            load,
            Balancer.over([*deployment.ports.values()]) as balancer,
            httpx.AsyncClient(base_url=balancer.url, auth=release.key, timeout=30) as client,
        ):
            await poll(lambda: len(balancer.ready) == 2)
            await _check_answers(client, release)
            clients = await funded_clients(client, balancer, release.key, account, _SEED)
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for each in clients:
                    group.create_task(
                        each.run_while(lambda: not done.is_set() and not account.errors)
                    )
                await more_answers(account)
                async with load.flowing(at_most=_COMMANDS_MAX):
                    await _migrate_under_load(deployment, account)
                    await restart_all(deployment, balancer, account)
                done.set()
            assert not account.errors, f"{account}\n{deployment.logs()}"
            await check_clients(client, clients)
            await _check_answers(client, release)
            await _check_expired(client, release)
        await deployment.until_settled()
        proof = await verify(settings)
        assert proof.passed, proof.first
        journal = [*release.sent(but=_OF_HTTP), *load.journal]
        outcomes = await audit(settings, journal, settings.partitions, others=_OF_HTTP)
        assert {"debited", "repeat", "reference_conflict", "dead_letter"} <= {*outcomes}
        await _check_schema(stack, settings.database_url)
        print(f"{outcomes.total():,} commands, {account.answers.total():,} requests")  # noqa: T201


async def _migrate_under_load(deployment: HttpDeployment, account: Account) -> None:
    """Commands are decided right up to the change of the tables, and right after it."""
    url = deployment.settings.database_url
    (begun,) = await _parts(url, "SELECT clock_timestamp()")
    await _migrate(deployment)
    await more_answers(account)
    assert not account.errors, account
    async with connection_to(url) as connection:
        before, after = await connection.fetchrow(_DECIDED_AROUND, begun)
    assert before, "no load before the tables changed"
    assert after, "no load after the tables changed"


async def _migrate(deployment: HttpDeployment) -> None:
    """Several at once: one does it all, and the others find it done."""
    processes = [await start(deployment.settings, "migrate", "--json") for _ in range(AT_ONCE)]
    done = await asyncio.gather(*(finish(process) for process in processes))
    assert [each.status for each in done] == [0] * AT_ONCE, done
    applied = sorted((each.document["database"] for each in done), key=len)
    assert applied[:-1] == [[]] * (AT_ONCE - 1)
    assert "projections/0002_wallet_trees.sql" in applied[-1]


async def _check_answers(client: httpx.AsyncClient, release: Release) -> None:
    """What the release answered is what is answered now, but for the wallet that something expires of."""
    wallet = f"/v1/wallets/{release.told['expiring']['wallet_id']}"
    for path, told in release.told["answers"].items():
        if path.startswith(wallet):
            continue
        if path.endswith("/transactions"):
            assert await walk(client, path, limit=100) == told, path
        else:
            assert (await client.get(path)).json() == told, path


async def _check_expired(client: httpx.AsyncClient, release: Release) -> None:
    """What had not run out when the release ended has run out since, to the unit."""
    wallet = f"/v1/wallets/{release.told['expiring']['wallet_id']}"
    left = release.told["answers"][wallet]["balance"] - release.told["expiring"]["amount"]
    assert (await client.get(wallet)).json()["balance"] == left

    async def is_written() -> bool:
        (newest, *_) = await walk(client, f"{wallet}/transactions", limit=100)
        return newest["balance_after"] == left

    await poll_async(is_written)


async def _check_schema(stack: Stack, database_url: str) -> None:
    """An upgraded database has what a new one has."""
    async with fresh_database(stack.database_url) as fresh:
        await install(fresh)
        assert await _parts(database_url, _SCHEMA) == await _parts(fresh, _SCHEMA)


async def _parts(database_url: str, query: str) -> list[Any]:
    async with connection_to(database_url) as connection:
        return [row[0] for row in await connection.fetch(query)]
