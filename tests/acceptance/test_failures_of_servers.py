"""Kafka and PostgreSQL that stop, crash and come back in the middle of a load.

On a stack of this module's own: nobody else is to notice. Nor is the next test, so each one ends by
itself, and brings back what it stopped, before its time runs out.
"""

import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import psutil
import pytest
import pytest_asyncio

from cli.stack import ManagedProcess, Stack
from tests.support.engine_processes import Deployment
from tests.support.load import as_librdkafka
from tests.support.polling import poll

DRAIN_S_MAX = 12.0
TEST_S_MAX = 300.0
RESTART_S_MAX = 60.0
SERVERS = [("kafka", "Kafka"), ("postgres", "PostgreSQL")]
P = ParamSpec("P")


pytestmark = pytest.mark.timeout(TEST_S_MAX + 2 * RESTART_S_MAX)


@pytest_asyncio.fixture(scope="module")
async def own_stack():
    with tempfile.TemporaryDirectory(prefix="wallet-failures-") as directory:
        async with Stack(Path(directory)) as running:
            yield running


@pytest_asyncio.fixture
async def deployment(own_stack: Stack):
    for server in (own_stack.kafka, own_stack.postgres):
        if not server.process.running:  # a test could not start it again
            await server.start()
    async with Deployment.on(own_stack) as running:
        yield running


def ends_in_time(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
    """Cancel a test that takes too long; pytest's own time-out leaves what it was at as it is."""

    @wraps(test)
    async def ended(*arguments: P.args, **options: P.kwargs) -> None:
        async with asyncio.timeout(TEST_S_MAX):
            await test(*arguments, **options)

    return ended


@ends_in_time
async def test_postgres_stops_and_crashes(deployment: Deployment) -> None:
    postgres = deployment.stack.postgres
    engine = deployment.start_engine()
    async with deployment.load(seed=5, place=as_librdkafka) as load:
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


@ends_in_time
async def test_kafka_stops_and_crashes(deployment: Deployment) -> None:
    kafka = deployment.stack.kafka
    engine = deployment.start_engine()
    async with deployment.load(seed=6, place=as_librdkafka) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            for end in (kafka.stop, kafka.kill):
                await end()
                sent = load.sent
                await kafka.start()
                await deployment.until_decided(sent)
        await deployment.check(load)
    assert engine.running


@ends_in_time
async def test_sigterm_drains_under_load(deployment: Deployment) -> None:
    engine = deployment.start_engine()
    async with deployment.load(seed=7) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            await drain(engine)
            rows = await deployment.fetch("SELECT shard, position, published FROM shards")
        assert all(row["published"] == row["position"] for row in rows)
        deployment.start_engine()
        await deployment.check(load)


@pytest.mark.parametrize(("server", "name"), SERVERS)
@ends_in_time
async def test_a_server_is_gone_when_engines_stop_and_start(
    deployment: Deployment, server: str, name: str
) -> None:
    gone = getattr(deployment.stack, server)
    engine = deployment.start_engine()
    async with deployment.load(seed=8) as load:
        async with load.flowing(at_most=2_000):
            await deployment.until_decided(400)
            await gone.kill()
            try:
                await drain(engine)
                late = deployment.start_engine()
                code = await late.wait()
            finally:
                await gone.start()
        deployment.start_engine()
        await deployment.check(load)
    log = late.log_tail(100)
    assert code == 1, log
    assert "Traceback" not in log
    assert log.splitlines()[-1].startswith(f"wallet: {name} does not answer")


@pytest.mark.parametrize(("server", "name"), SERVERS)
@ends_in_time
async def test_a_server_hangs_when_engines_stop(
    deployment: Deployment, server: str, name: str
) -> None:
    hanging = getattr(deployment.stack, server).process
    engine = deployment.start_engine()
    async with deployment.load(seed=9) as load:
        async with load.flowing(at_most=2_000):
            await deployment.until_decided(400)
            signal_all(hanging, signal.SIGSTOP)
            try:
                late = deployment.start_engine()
                await drain(engine)
                await poll(lambda: handles_sigterm(late))
                await drain(late)
            finally:
                signal_all(hanging, signal.SIGCONT)
        deployment.start_engine()
        await deployment.check(load)


async def drain(engine: ManagedProcess) -> None:
    """Ask an engine to stop, and hold it to doing so in time and in good order."""
    asked_at = time.monotonic()
    engine.send_signal(signal.SIGTERM)
    code = await engine.wait()
    assert code == 0, engine.log_tail(60)
    assert time.monotonic() - asked_at < DRAIN_S_MAX
    assert "Traceback" not in engine.log_tail(1_000)


def signal_all(process: ManagedProcess, sig: signal.Signals) -> None:
    """Signal a server and the processes of its sessions."""
    server = psutil.Process(process.pid)
    for member in (server, *server.children(recursive=True)):
        member.send_signal(sig)


def handles_sigterm(process: ManagedProcess) -> bool:
    """Whether a process has come so far that SIGTERM no longer just ends it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1)
