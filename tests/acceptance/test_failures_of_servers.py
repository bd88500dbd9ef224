"""Kafka and PostgreSQL that stop, crash and come back in the middle of a load.

On a stack of this module's own: nobody else is to notice.
"""

import signal
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from cli.stack import ManagedProcess, Stack
from tests.support.engine_processes import Deployment

DRAIN_S_MAX = 12.0


@pytest_asyncio.fixture(scope="module")
async def own_stack():
    with tempfile.TemporaryDirectory(prefix="wallet-failures-") as directory:
        async with Stack(Path(directory)) as running:
            yield running


@pytest_asyncio.fixture
async def deployment(own_stack: Stack):
    async with Deployment.on(own_stack) as running:
        yield running


def signal_all(process: ManagedProcess, sig: signal.Signals) -> None:
    """Signal a server and the processes of its sessions."""
    server = psutil.Process(process.pid)
    for member in (server, *server.children(recursive=True)):
        member.send_signal(sig)


async def test_postgres_stops_and_crashes(deployment: Deployment) -> None:
    postgres = deployment.stack.postgres
    engine = deployment.start_engine()
    async with deployment.load(seed=5) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            for end in (postgres.stop, postgres.kill):
                await end()
                sent = load.sent
                try:
                    await deployment.until_logged(engine, "lease_ended")
                finally:
                    await postgres.start()
                await deployment.until_decided(sent)
        await deployment.check(load)
    assert engine.running


async def test_kafka_stops_and_crashes(deployment: Deployment) -> None:
    kafka = deployment.stack.kafka
    engine = deployment.start_engine()
    async with deployment.load(seed=6) as load:
        async with load.flowing(at_most=6_000):
            await deployment.until_decided(400)
            for end in (kafka.stop, kafka.kill):
                await end()
                sent = load.sent
                await kafka.start()
                await deployment.until_decided(sent, timeout_s=30)
        await deployment.check(load)
    assert engine.running


async def test_sigterm_drains_under_load(deployment: Deployment) -> None:
    engine = deployment.start_engine()
    async with deployment.load(seed=7) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            asked_at = time.monotonic()
            engine.send_signal(signal.SIGTERM)
            assert await engine.wait() == 0, engine.log_tail(40)
            drained_s = time.monotonic() - asked_at
            rows = await deployment.fetch("SELECT shard, position, published FROM shards")
        assert all(row["published"] == row["position"] for row in rows)
        assert drained_s < 5
        deployment.start_engine()
        await deployment.check(load)


@pytest.mark.parametrize("server", ["kafka", "postgres"])
@pytest.mark.parametrize("how", ["gone", "hanging"])
async def test_sigterm_ends_an_engine_without(
    deployment: Deployment, server: str, how: str
) -> None:
    broken = getattr(deployment.stack, server)
    engine = deployment.start_engine()
    async with deployment.load(seed=8) as load:
        async with load.flowing(at_most=2_000):
            await deployment.until_decided(400)
            try:
                if how == "gone":
                    await broken.kill()
                else:
                    signal_all(broken.process, signal.SIGSTOP)
                asked_at = time.monotonic()
                engine.send_signal(signal.SIGTERM)
                code = await engine.wait()
                ended_s = time.monotonic() - asked_at
            finally:
                if how == "gone":
                    await broken.start()
                else:
                    signal_all(broken.process, signal.SIGCONT)
        assert code == 0, engine.log_tail(60)
        assert ended_s < DRAIN_S_MAX
        assert "Traceback" not in engine.log_tail(500)
        deployment.start_engine()
        await deployment.check(load)


@pytest.mark.parametrize(("server", "name"), [("kafka", "Kafka"), ("postgres", "PostgreSQL")])
async def test_an_engine_that_starts_without_says_so_and_ends(
    deployment: Deployment, server: str, name: str
) -> None:
    missing = getattr(deployment.stack, server)
    await missing.stop()
    try:
        engine = deployment.start_engine()
        code = await engine.wait()
    finally:
        await missing.start()
    assert code == 1
    log = engine.log_tail(100)
    assert "Traceback" not in log
    assert log.splitlines()[-1].startswith(f"wallet: {name} does not answer")
