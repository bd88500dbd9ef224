"""A client of Kafka that has given up is replaced: the engine recovers by itself."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from engine.consumer import CommandConsumer
from tests.support.engines import Service
from tests.support.payloads import create, topup
from tests.support.polling import poll

W = "wal_a1"


def end_coordination(engine: CommandConsumer, patch: pytest.MonkeyPatch) -> None:
    coordinator = engine._subscriber.consumer._coordinator
    patch.setattr(coordinator, "ensure_coordinator_known", fail)
    coordinator.request_rejoin()


def end_fetching(engine: CommandConsumer, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine._subscriber.consumer._fetcher, "_get_actions_per_node", fail)


def end_handing_over(engine: CommandConsumer, patch: pytest.MonkeyPatch) -> None:
    engine._subscriber.tasks[-1].cancel()


def fail(*_: Any) -> Any:
    raise RuntimeError("as a defect of the client would")


@pytest.mark.parametrize("end", [end_coordination, end_fetching, end_handing_over])
async def test_a_client_that_ended_is_replaced(
    running: Service,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[CommandConsumer, pytest.MonkeyPatch], None],
) -> None:
    async with running.engine() as engine:
        await running.send_commands(create(W), topup(W, "t1", 1), wallet_id=W)
        await running.decided()
        end(engine, monkeypatch)
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
        end_fetching(engine, monkeypatch)
        for number in range(3):  # what was under way may still come
            await running.send_commands(topup(W, f"t{number}", 2), wallet_id=W)
            await running.decided()
    assert len(attempts) == 3


async def test_a_client_that_looks_for_no_leaders_any_more_is_replaced(running: Service) -> None:
    async with running.engine() as engine:
        client = engine._subscriber.consumer
        client._client._sync_task.cancel()
        await poll(lambda: engine._subscriber.consumer is not client)
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
