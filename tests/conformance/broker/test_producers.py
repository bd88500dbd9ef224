"""What an idempotent producer promises, and what it does not once a batch was refused."""

import asyncio
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber

from engine.producing import close_producer
from tests.conformance.broker.clusters import RECORD_BYTES_MAX, Cluster, Topic, read


async def send(producer: Any, topic: Topic, *sizes: int) -> list[Any]:
    """Batches of one record each, sent before any is answered; the answers."""
    sent = []
    for size in sizes:
        batch = producer.create_batch()
        batch.append(timestamp=1, key=None, value=b"x" * size, headers=[])
        sent.append(await producer.send_batch(batch, topic.name, partition=0))
    answers = await asyncio.gather(*sent, return_exceptions=True)
    return [getattr(answer, "offset", type(answer)) for answer in answers]


def test_a_batch_takes_no_more_than_fits(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        batch = producer.create_batch()
        for _ in range(3):
            assert batch.append(timestamp=1, key=b"k", value=b"x" * 300_000, headers=[])
        assert batch.append(timestamp=1, key=b"k", value=b"x" * 300_000, headers=[]) is None
        assert batch.record_count() == 3

    cluster.run(scenario, 1)


def test_batches_land_in_the_order_they_were_sent_in(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        assert await send(await topic.producer(), topic, 1, 2, 3, 4) == [0, 1, 2, 3]
        records = await read(await topic.consumer(0), 4)
        assert [len(record.value) for record in records] == [1, 2, 3, 4]

    cluster.run(scenario, 1)


def test_after_a_refused_first_batch_the_others_are_taken(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        answers = await send(await topic.producer(), topic, 2 * RECORD_BYTES_MAX, 1, 2)
        assert answers == [MessageSizeTooLargeError, 0, 1]

    cluster.run(scenario, 1)


def test_after_a_refused_later_batch_all_others_are_refused(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        answers = await send(producer, topic, 1, 2, 2 * RECORD_BYTES_MAX, 3, 4)
        assert answers == [
            0,
            1,
            MessageSizeTooLargeError,
            OutOfOrderSequenceNumber,
            OutOfOrderSequenceNumber,
        ]
        assert await send(producer, topic, 5) == [OutOfOrderSequenceNumber]
        # a new one begins anew
        assert await send(await topic.producer(), topic, 6) == [2]

    cluster.run(scenario, 1)


def test_what_a_closed_producer_is_given_never_lands(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        assert await send(producer, topic, 1) == [0]
        assert await close_producer(producer)
        sent = await producer.send(topic.name, b"late", partition=0)
        assert not (await asyncio.wait({sent}, timeout=0.5))[0]
        await topic.send(b"next")
        records = await read(await topic.consumer(0), 2)
        assert [record.value for record in records] == [b"x", b"next"]

    cluster.run(scenario, 1)
