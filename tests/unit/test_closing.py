"""Kafka's clients end in time, and nobody who ends them is caught up in it."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from engine.closing import close_consumer, closed_within
from engine.producing import close_producer

NOWHERE = "127.0.0.1:1"


async def for_ever() -> None:
    await asyncio.Event().wait()


@pytest_asyncio.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives a test, and none ends with an error that nobody takes note of."""
    before, complaints = asyncio.all_tasks(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        yield
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if left:
            _, left = await asyncio.wait(left, timeout=5)
        gc.collect()
        assert (left, complaints) == (set(), [])
    finally:
        loop.set_exception_handler(None)


async def test_what_closes_by_itself() -> None:
    assert await closed_within(5, asyncio.sleep(0)) is None


async def test_what_fails() -> None:
    async def fail() -> None:
        raise ConnectionError("gone")

    assert await closed_within(5, fail()) == "ConnectionError('gone')"


async def test_what_takes_too_long() -> None:
    assert await closed_within(0.01, for_ever()) is not None


async def test_what_takes_no_notice_of_its_cancellation() -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    async def obstinate() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            asked.set()
        await released.wait()

    assert await closed_within(0.01, obstinate()) == "not done within 0 s"
    await asked.wait()
    released.set()


async def test_a_cancellation_from_within_stays_there() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert await closed_within(5, cancelled()) == "cancelled"


async def test_a_cancellation_from_outside_is_not_swallowed_and_ends_nothing() -> None:
    closed = asyncio.Event()

    async def close() -> None:
        await asyncio.sleep(0.05)
        closed.set()

    closing = asyncio.create_task(closed_within(5, close()))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await closed.wait()


async def test_a_producer_whose_sender_was_to_begin_only_now() -> None:
    producer = AIOKafkaProducer(bootstrap_servers=NOWHERE)
    producer._sender._sender_task = asyncio.create_task(for_ever())

    assert not await close_producer(producer)

    assert producer._sender.sender_task.done()


async def test_a_consumer_whose_tasks_were_to_begin_only_now() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
    consumer._client._sync_task = asyncio.create_task(for_ever())
    consumer._coordinator = Coordinator()

    await close_consumer(consumer)

    assert consumer._client._sync_task is None or consumer._client._sync_task.cancelling()


async def test_a_consumer_that_does_not_close_is_dropped() -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
    consumer._coordinator = Coordinator()
    consumer._coordinator.close = for_ever
    sync = consumer._client._sync_task = asyncio.create_task(for_ever())

    await close_consumer(consumer)

    await asyncio.wait({sync, consumer._coordinator._reset_committed_task}, timeout=5)
    assert sync.cancelled()
    assert consumer._coordinator._reset_committed_task.cancelled()


class Coordinator:
    """As aiokafka's own for a consumer in no group, at the moment of its making."""

    def __init__(self) -> None:
        self._reset_committed_task = asyncio.create_task(for_ever())

    async def close(self) -> None:
        self._reset_committed_task.cancel()
        await self._reset_committed_task
