"""Ends Kafka's clients in time, whatever they are at.

aiokafka's own ways to close wait for a broker that is away, raise CancelledError if a task of theirs
was to begin only now, and swallow a cancellation of whoever waits for them. So a client closes
itself in a task of its own, and what has not ended in time is dropped.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from engine.cancelling import take_note

_CLOSE_S: Final = 1.0


async def closed_within(seconds: float, closing: Coroutine[Any, Any, object]) -> str | None:
    """Let a client close itself; what kept it from that, None if nothing did.

    If whoever waits is cancelled, the client goes on to close itself.
    """
    task = asyncio.create_task(closing)
    too_late = asyncio.get_running_loop().call_later(seconds, task.cancel)
    task.add_done_callback(take_note)
    task.add_done_callback(lambda _: too_late.cancel())
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        return f"not done within {seconds:.0f} s"
    if task.cancelled():
        return "cancelled"
    return None if (error := task.exception()) is None else repr(error)


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """End a consumer that is in no group, within a second."""
    if await closed_within(_CLOSE_S, consumer.stop()) is not None:
        drop_consumer(consumer)


def drop_consumer(consumer: AIOKafkaConsumer) -> None:
    """End a consumer at once; if it is a member of a group, its session has to time out."""
    consumer._closed = True  # noqa: SLF001
    for task in _tasks(consumer):
        task.cancel()
    for connection in consumer._client._conns.values():  # noqa: SLF001
        connection.close()


def _tasks(consumer: AIOKafkaConsumer) -> Iterator[asyncio.Task[Any]]:
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    for owner, name in (
        (coordinator, "_coordination_task"),
        (coordinator, "_heartbeat_task"),
        (coordinator, "_commit_refresh_task"),
        (coordinator, "_reset_committed_task"),
        (fetcher, "_fetch_task"),
        (consumer._client, "_sync_task"),  # noqa: SLF001
    ):
        if (task := getattr(owner, name, None)) is not None:
            yield task
    yield from getattr(fetcher, "_pending_tasks", ())
