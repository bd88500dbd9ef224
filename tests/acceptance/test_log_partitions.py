"""The log of a running service is partitioned by shard, as docs/operations/log-partitions.md says.

On a stack of this module's own, for its PostgreSQL has to let a superuser in.
"""

import asyncio
import re
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from cli.stack import Stack
from cli.stack.unprivileged import hand_over, unprivileged_user
from projections.verification import verify
from tests.support.databases import connection_to
from tests.support.http_deployment import HttpDeployment
from tests.support.ledger_audit import audit
from tests.support.load import Load

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "log-partitions.md"
PARTS = ("log", "log_0", "log_1", "log_2", "log_3")

_TABLESPACE = """
SELECT coalesce(spcname, 'pg_default') FROM pg_class LEFT JOIN pg_tablespace t ON t.oid = reltablespace
 WHERE relname LIKE 'log_0%' AND relkind IN ('r', 'i')
"""


@pytest_asyncio.fixture
async def deployment() -> AsyncIterator[HttpDeployment]:
    with tempfile.TemporaryDirectory(prefix="wallet-partitions-") as directory:
        async with Stack(Path(directory)) as stack, HttpDeployment.on(stack) as running:
            _let_superuser_in(stack)
            for kind in ("engine", "projector", "api"):
                running.start(kind)
            await running.until_ready()
            yield running


def _let_superuser_in(stack: Stack) -> None:
    (access,) = stack.data_dir.rglob("pg_hba.conf")
    access.write_text(access.read_text() + "host all postgres 127.0.0.1/32 trust\n")
    stack.postgres.process.send_signal(signal.SIGHUP)


def steps() -> list[str]:
    """The blocks of SQL of the page, in order."""
    return re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def run(deployment: HttpDeployment, statement: str) -> None:
    async with connection_to(deployment.settings.database_url) as connection:
        await connection.execute(statement, timeout=60)


async def test_the_log_is_partitioned_under_load(deployment: HttpDeployment) -> None:
    settings = deployment.settings
    make, copy, swap, drop = steps()
    load = Load(settings, partitions=settings.partitions, seed=11)
    async with load:
        await load.send(500)
        async with load.flowing(at_most=3_000):
            await run(deployment, make)
            await run(deployment, copy)
            await asyncio.sleep(0.5)
            await run(deployment, copy)
            await run(deployment, swap)
        await load.send(300)
    await deployment.until_settled()
    proof = await verify(settings)
    assert proof.passed, proof.first
    await run(deployment, drop)
    await _move(deployment)
    async with Load(settings, partitions=settings.partitions, seed=12, tag="moved") as more:
        await more.send(300)
    await deployment.until_quiet()
    proof = await verify(settings)
    assert proof.passed, proof.first
    outcomes = await audit(settings, [*load.journal, *more.journal], settings.partitions)
    assert {"debited", "repeat", "reference_conflict", "insufficient_funds"} <= {*outcomes}
    await _check_guards(deployment)


async def _move(deployment: HttpDeployment) -> None:
    """The fourth step, on a tablespace that a superuser has made."""
    lines = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    grant = next(line for line in lines if line.startswith("GRANT CREATE ON TABLESPACE"))
    moves = [line for line in lines if "SET TABLESPACE roomy" in line]
    assert len(moves) == 4
    settings = deployment.settings
    with tempfile.TemporaryDirectory(prefix="wallet-roomy-") as directory:
        if (user := unprivileged_user()) is not None:
            hand_over(Path(directory), user)
        superuser = await asyncpg.connect(settings.database_url, user="postgres")
        owner = await asyncpg.connect(settings.database_url)
        try:
            await superuser.execute(f"CREATE TABLESPACE roomy LOCATION '{directory}'")
            await superuser.execute(grant)
            for move in moves:
                await owner.execute(move)
            places = [row[0] for row in await owner.fetch(_TABLESPACE)]
            assert places == ["roomy"] * 4
            for move in moves:
                await owner.execute(move.replace("roomy", "pg_default"))
            await superuser.execute("DROP TABLESPACE roomy")
        finally:
            await superuser.close()
            await owner.close()


async def _check_guards(deployment: HttpDeployment) -> None:
    """Each partition refuses changes itself, and verify sees one that does not."""
    settings = deployment.settings
    for part in PARTS:
        with pytest.raises(asyncpg.RestrictViolationError):
            await run(deployment, f"UPDATE {part} SET type = 'edited'")
        with pytest.raises(asyncpg.RestrictViolationError):
            await run(deployment, f"TRUNCATE {part}")
    await run(deployment, "ALTER TABLE log_2 DISABLE TRIGGER log_is_append_only")
    proof = await verify(settings)
    assert not proof.passed
    assert "ALTER TABLE log_2 ENABLE TRIGGER" in str(proof.first)
