"""A client of Kafka that has given up is replaced: the engine recovers by itself."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from engine.consumer import CommandConsumer
from tests.support.engines import Service
from tests.support.payloads import create, topup

W = "wal_a1"


def coordination(engine: CommandConsumer) -> "asyncio.Task[Any]":
    return engine._subscriber.consumer._coordinator._coordination_task


def fetching(engine: CommandConsumer) -> "asyncio.Task[Any]":
    return engine._subscriber.consumer._fetcher._fetch_task


def handing_over(engine: CommandConsumer) -> "asyncio.Task[Any]":
    return engine._subscriber.tasks[-1]


@pytest.mark.parametrize("essential", [coordination, fetching, handing_over])
async def test_a_task_of_the_client_that_ended_is_made_up_for(
    running: Service, essential: Callable[[CommandConsumer], "asyncio.Task[Any]"]
) -> None:
    async with running.engine() as engine:
        await running.send_commands(create(W), topup(W, "t1", 1), wallet_id=W)
        await running.decided()
        essential(engine).cancel()
        for number in range(2, 5):  # what was under way may still come
            await running.send_commands(topup(W, f"t{number}", 2), wallet_id=W)
            await running.decided()
    assert len(await running.entries()) == 5


async def test_joining_anew_is_tried_until_it_works(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running.engine() as engine:
        start, attempts = engine._subscriber.start, []

        async def start_at_the_third_attempt() -> None:
            attempts.append(1)
            if len(attempts) < 3:
                raise KafkaError
            await start()

        monkeypatch.setattr(engine._subscriber, "start", start_at_the_third_attempt)
        fetching(engine).cancel()
        for number in range(3):  # what was under way may still come
            await running.send_commands(topup(W, f"t{number}", 2), wallet_id=W)
            await running.decided()
    assert len(attempts) == 3
