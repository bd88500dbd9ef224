"""Engines that come, go, crash and freeze in the middle of a load."""

import signal
import time

import pytest
import pytest_asyncio

from cli.stack import Stack
from tests.support.engine_processes import Deployment
from tests.support.load import as_librdkafka

SESSION_S = 20
"""Far longer than it takes a busy machine to hand partitions over."""

pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture
async def deployment(stack: Stack):
    async with Deployment.on(stack) as running:
        yield running


async def test_engines_join_and_leave(deployment: Deployment) -> None:
    changes = {"session_timeout_ms": SESSION_S * 1_000}
    deployment.settings = deployment.settings.model_copy(update=changes)
    first = deployment.start_engine()
    async with deployment.load(seed=1) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            second = deployment.start_engine()
            await deployment.until_owned_by(first, second)
            await deployment.until_decided(load.sent)
            first.send_signal(signal.SIGTERM)
            left_at = time.monotonic()
            await deployment.until_owned_by(second)
            gap_s = time.monotonic() - left_at
            await deployment.until_decided(load.sent)
        await deployment.check(load)
    assert await first.wait() == 0
    # it has left the group, or its partitions would have had no owner for the session's timeout
    assert gap_s < SESSION_S


async def test_an_engine_is_killed(deployment: Deployment) -> None:
    first, second = deployment.start_engine(), deployment.start_engine()
    async with deployment.load(seed=2) as load:
        async with load.flowing():
            await deployment.until_owned_by(first, second)
            await deployment.until_decided(400)
            await first.kill()
            third = deployment.start_engine()
            await deployment.until_owned_by(second, third)
            await deployment.until_decided(load.sent)
        await deployment.check(load)


async def test_a_frozen_engine_wakes_up_as_a_zombie(deployment: Deployment) -> None:
    frozen, other = deployment.start_engine(), deployment.start_engine()
    async with deployment.load(seed=3) as load:
        async with load.flowing():
            await deployment.until_owned_by(frozen, other)
            await deployment.until_decided(400)
            await load.send(2_000)  # so that it has enough to go on with when it wakes up
            frozen.send_signal(signal.SIGSTOP)
            await deployment.until_owned_by(other)
            await deployment.until_decided(load.sent)
            frozen.send_signal(signal.SIGCONT)
            await deployment.until_owned_by(frozen, other)
            await deployment.until_decided(load.sent)
        await deployment.check(load)
    assert frozen.running


async def test_a_load_placed_as_by_librdkafka(deployment: Deployment) -> None:
    first = deployment.start_engine()
    async with deployment.load(seed=4, place=as_librdkafka) as load:
        async with load.flowing():
            await deployment.until_decided(400)
            await first.kill()
            second = deployment.start_engine()
            await deployment.until_owned_by(second)
            await deployment.until_decided(load.sent)
        await deployment.check(load)
    (strays,) = await deployment.fetch("SELECT count(*) FROM forwards")
    assert strays[0] > 300
