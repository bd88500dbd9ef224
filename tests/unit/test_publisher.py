"""When entries are sent to Kafka: at once, or together with those that follow."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, cast

import pytest

from engine.batch import Batch, Tip
from engine.events_topic import EventRecord
from engine.log import ShardLog
from engine.publisher import Publisher
from tests.simulation.loop import VirtualLoop
from tests.support.batches import NOON, decide_all, records, start
from tests.support.payloads import create

_ACKNOWLEDGED_AFTER_S = 0.001


class Sent:
    """What was sent, and when: (milliseconds, positions) of each record batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[int]]] = []

    async def publish(self, entries: Sequence[EventRecord]) -> None:
        at = asyncio.get_running_loop().time()
        self.batches.append((round(1000 * at), [entry.position for entry in entries]))
        await asyncio.sleep(_ACKNOWLEDGED_AFTER_S)

    async def publish_dead_letter(self, key: bytes | None, value: bytes) -> None:
        raise AssertionError(f"no dead letter was committed: {key!r} {value!r}")

    async def close(self) -> None:
        return


class NoDeadLetters:
    """A log of which nothing has to be read again."""

    shard = 0

    async def unpublished_dead_letters(self, count_max: int) -> list[Any]:
        return []


def published(script: Callable[[Callable[[int], None]], Awaitable[None]]) -> list[Any]:
    """What is sent while a script commits entries, on virtual time."""
    sent = Sent()

    async def connect() -> Sent:
        return sent

    async def run() -> None:
        publisher = Publisher(
            cast(ShardLog, NoDeadLetters()), connect, published=0, committed=0, clock=lambda: NOON
        )
        tip: Tip = start()

        def commit(count: int) -> None:
            nonlocal tip
            names = [create(f"wal_{tip.offset + index}") for index in range(count)]
            batch: Batch = decide_all(tip, records(*names, first=tip.offset))
            tip = batch.tip
            publisher.publish(batch, proven_at=NOON)

        working = asyncio.get_running_loop().create_task(publisher.run())
        await script(commit)
        await asyncio.sleep(1)
        assert publisher.unpublished == 0
        working.cancel()
        await asyncio.wait({working})

    loop = VirtualLoop(Random(0))
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    return sent.batches


def test_an_entry_that_comes_alone_is_sent_at_once() -> None:
    async def script(commit: Callable[[int], None]) -> None:
        for _ in range(3):
            commit(1)
            await asyncio.sleep(0.1)

    assert published(script) == [(0, [0]), (100, [1]), (200, [2])]


def test_entries_that_follow_others_at_once_are_sent_together() -> None:
    async def script(commit: Callable[[int], None]) -> None:
        for _ in range(10):
            commit(1)
            await asyncio.sleep(0.003)

    assert published(script) == [(0, [0]), (20, [1, 2, 3, 4, 5, 6]), (40, [7, 8, 9])]


@pytest.mark.parametrize("many", [500, 600])
def test_many_entries_wait_for_no_more(many: int) -> None:
    async def script(commit: Callable[[int], None]) -> None:
        commit(1)
        await asyncio.sleep(0.005)
        commit(many)

    assert published(script) == [(0, [0]), (5, [*range(1, many + 1)])]
