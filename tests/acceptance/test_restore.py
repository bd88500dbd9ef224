"""A restore to a point in time, by the commands that the documentation gives, as they are pasted."""

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.install import install
from cli.processes import service_argv
from cli.stack import ManagedProcess, Stack
from engine.settings import Settings
from tests.support.databases import connection_to
from tests.support.documents import code_blocks
from tests.support.engines import service
from tests.support.own_cluster import OwnCluster, own_cluster
from tests.support.payloads import create, credit, debit, topup
from tests.support.polling import poll, poll_async
from tests.support.read_models import differences, is_caught_up, keeping_up
from tests.support.restore_points import log_rows
from tests.support.topics import TopicNames, create_topics
from tests.support.wallet_command import environment, run

DOCUMENT = "docs/operations.md"
MOMENT = "2026-05-24 10:00:00+00"
W = "wal_a1"


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[OwnCluster]:
    async with own_cluster() as running:
        yield running


@pytest_asyncio.fixture
async def settings(cluster: OwnCluster, stack: Stack, topic_names: TopicNames) -> Settings:
    await install(cluster.database_url)
    await create_topics(stack.kafka_bootstrap, topic_names, 2)
    return Settings(
        database_url=cluster.database_url,
        kafka_bootstrap=stack.kafka_bootstrap,
        **topic_names.settings,
        partitions=2,
        session_timeout_ms=2_000,
    )


def start_engine(stack: Stack, settings: Settings, name: str) -> ManagedProcess:
    return stack.spawn(name, service_argv("engine"), env=environment(settings))


async def decided(settings: Settings, *commands: bytes) -> None:
    """Send the commands, and wait until an engine has decided and published them."""
    async with service(settings, 2) as running:
        await running.send_commands(*commands, wallet_id=W)
        await running.decided()
        await running.until("SELECT bool_and(published = position) FROM shards")


def restore_block(moment: str) -> str:
    block, *_ = code_blocks(DOCUMENT, "### Restore")
    assert MOMENT in block
    return block.replace(MOMENT, moment)


@pytest.mark.timeout(280)
async def test_as_documented(cluster: OwnCluster, settings: Settings, stack: Stack) -> None:
    once, look = code_blocks(DOCUMENT, "### Archiving, once")
    await cluster.paste(once)
    zombie = start_engine(stack, settings, "engine-of-before")
    await decided(settings, create(W), topup(W, "t1", 500), debit(W, "d1", 20))
    await cluster.paste(look, *code_blocks(DOCUMENT, "### A base backup, every day"))
    async with keeping_up(settings), connection_to(settings.database_url) as connection:
        await decided(settings, debit(W, "d2", 30), credit(W, "c1", 7))
        await poll_async(lambda: is_caught_up(connection))
    moment = await cluster.now()
    async with keeping_up(settings), connection_to(settings.database_url) as connection:
        await decided(settings, debit(W, "d3", 40), debit(W, "d4", 9_000), topup(W, "t2", 9_000))
        await poll_async(lambda: is_caught_up(connection))
    before = await log_rows(settings.database_url)
    assert len(before) == 8
    zombie.send_signal(signal.SIGSTOP)

    await cluster.paste(restore_block(moment))

    assert await log_rows(settings.database_url) == before[:5]
    _, forward, prove = code_blocks(DOCUMENT, "### Restore")
    dry, real = (line.split()[1:] for line in forward.splitlines())
    await poll_async(lambda: _status_is(settings, dry, 0))
    assert await log_rows(settings.database_url) == before[:5]
    done = await run(settings, *real)
    assert done.status == 0, done.err
    assert await log_rows(settings.database_url) == before

    async with service(settings, 2) as running, running.engine():
        await running.send_commands(debit(W, "d4", 9_000), debit(W, "d5", 1), wallet_id=W)
        await running.decided()
        rows = await log_rows(settings.database_url)
        assert rows[:8] == before
        assert len(rows) == 9
        zombie.send_signal(signal.SIGCONT)
        await poll(lambda: b"lease_ended" in zombie.log_path.read_bytes())
        await running.send_commands(debit(W, "d6", 1), wallet_id=W)
        await running.decided()
        await running.until("SELECT bool_and(published = position) FROM shards")
    await zombie.stop()
    async with keeping_up(settings), connection_to(settings.database_url) as connection:
        await poll_async(lambda: is_caught_up(connection))
        assert await differences(connection) == []
    rows = await log_rows(settings.database_url)
    assert rows[:8] == before
    assert len(rows) == 10
    for line in prove.splitlines():
        done = await run(settings, *line.split()[1:])
        assert done.status == 0, done.out


@pytest.mark.timeout(280)
async def test_to_the_last_commit_of_a_server_that_crashed(
    cluster: OwnCluster, settings: Settings
) -> None:
    once, _ = code_blocks(DOCUMENT, "### Archiving, once")
    await cluster.paste(once)
    async with service(settings, 2) as running, running.engine():
        await running.send_commands(create(W), topup(W, "t1", 500), wallet_id=W)
        await running.decided()
        await cluster.paste(*code_blocks(DOCUMENT, "### A base backup, every day"))
        await running.send_commands(debit(W, "d1", 20), debit(W, "d2", 30), wallet_id=W)
        await running.decided()
        before = await log_rows(settings.database_url)
    cluster.kill()
    block = restore_block(MOMENT).splitlines()
    to_the_end = [line for line in block if not line.startswith("recovery_target")]
    assert len(to_the_end) == len(block) - 2

    await cluster.paste("\n".join(to_the_end))

    assert await log_rows(settings.database_url) == before
    assert len(before) == 4
    done = await run(settings, "roll-forward", "--yes")
    assert "nothing to roll forward" in done.out, done.err
    async with service(settings, 2) as running, running.engine():
        await running.send_commands(debit(W, "d2", 30), debit(W, "d3", 1), wallet_id=W)
        await running.decided()
    rows = await log_rows(settings.database_url)
    assert rows[:4] == before
    assert len(rows) == 5


async def _status_is(settings: Settings, arguments: list[str], status: int) -> bool:
    return (await run(settings, *arguments)).status == status
