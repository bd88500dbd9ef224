"""What is written to a partition, and how it is read again."""

import asyncio

import pytest
from aiokafka.errors import ConsumerStoppedError, IllegalStateError

from tests.conformance.broker.clusters import Cluster, Topic, read, values

HEADERS = [("ce_id", b"0:1"), ("ce_id", b"twice")]


def test_a_record_comes_as_it_was_sent(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        batch = producer.create_batch()
        batch.append(timestamp=1_700_000_000_123, key=b"k", value=b"v", headers=HEADERS)
        batch.append(timestamp=1_700_000_000_124, key=None, value=b"", headers=[])
        sent = await producer.send_batch(batch, topic.name, partition=1)
        assert ((await sent).topic, (await sent).partition) == (topic.name, 1)
        first, second = await read(await topic.consumer(0, 1), 2)
        assert (first.topic, first.partition, first.offset) == (topic.name, 1, 0)
        assert (first.key, first.value, first.timestamp) == (b"k", b"v", 1_700_000_000_123)
        assert list(first.headers) == HEADERS
        assert (second.offset, second.key, second.value) == (1, None, b"")

    cluster.run(scenario, 2)


def test_offsets_of_sent_records_count_up_in_each_partition(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        sent = [
            await producer.send(topic.name, b"%d" % number, partition=number % 2)
            for number in range(6)
        ]
        assert [(await each).offset for each in sent] == [0, 0, 1, 1, 2, 2]
        consumer = await topic.consumer(1)
        assert [record.value for record in await read(consumer, 3)] == [b"1", b"3", b"5"]

    cluster.run(scenario, 2)


def test_no_more_records_come_at_once_than_are_asked_for(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        await topic.send(b"1", b"2", b"3")
        consumer = await topic.consumer(0)
        taken = []
        while len(taken) < 3:
            fetched = values(await consumer.getmany(timeout_ms=1_000, max_records=2))
            assert len(fetched) <= 2
            taken += fetched
        assert taken == [b"1", b"2", b"3"]

    cluster.run(scenario, 1)


def test_an_empty_poll_ends_in_time_and_a_record_ends_it_early(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        consumer = await topic.consumer(0)
        assert await consumer.getmany(timeout_ms=50) == {}
        polling = asyncio.create_task(consumer.getmany(timeout_ms=60_000))
        await topic.send(b"1")
        assert values(await asyncio.wait_for(polling, 20)) == [b"1"]

    cluster.run(scenario, 1)


def test_what_is_sought_comes_next(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        await topic.send(b"0", b"1", b"2")
        consumer = await topic.consumer(0)
        await read(consumer, 3)
        consumer.seek(topic.place(), 1)
        assert await consumer.position(topic.place()) == 1
        assert [record.offset for record in await read(consumer, 2)] == [1, 2]
        assert await consumer.position(topic.place()) == 3

    cluster.run(scenario, 1)


def test_a_paused_partition_gives_nothing_until_it_is_resumed(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        await topic.send(b"0", partition=0)
        await topic.send(b"1", partition=1)
        consumer = await topic.consumer(0, 1)
        consumer.pause(topic.place(0))
        assert [record.value for record in await read(consumer, 1)] == [b"1"]
        assert await consumer.getmany(timeout_ms=100) == {}
        polling = asyncio.create_task(consumer.getmany(timeout_ms=60_000))
        consumer.resume(topic.place(0))
        assert values(await asyncio.wait_for(polling, 20)) == [b"0"]

    cluster.run(scenario, 2)


def test_what_is_not_assigned_can_be_neither_sought_nor_paused(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        consumer = await topic.consumer(0)
        assert await consumer.getmany(timeout_ms=10) == {}
        for forbidden in (consumer.pause, consumer.resume):
            with pytest.raises(IllegalStateError):
                forbidden(topic.place(1))
        with pytest.raises(IllegalStateError):
            consumer.seek(topic.place(1), 0)

    cluster.run(scenario, 2)


def test_transactions_leave_gaps_that_are_passed_over(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        await topic.send(b"0")
        await cluster.leave_gap(topic, 0)
        await topic.send(b"3")
        await cluster.leave_gap(topic, 0)
        consumer = await topic.consumer(0)
        assert [record.offset for record in await read(consumer, 2)] == [0, 3]
        consumer.seek(topic.place(), 1)
        assert [record.offset for record in await read(consumer, 1)] == [3]
        assert await consumer.beginning_offsets([topic.place()]) == {topic.place(): 0}
        assert await consumer.end_offsets([topic.place()]) == {topic.place(): 6}
        while await consumer.position(topic.place()) < 6:
            assert await consumer.getmany(timeout_ms=100) == {}

    cluster.run(scenario, 1)


def test_a_moment_stands_for_the_first_record_of_it_or_later(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        producer = await topic.producer()
        batch = producer.create_batch()
        for at_ms in (1_000, 3_000, 2_000, 5_000):
            batch.append(timestamp=at_ms, key=None, value=b"v", headers=[])
        await (await producer.send_batch(batch, topic.name, partition=0))
        consumer = await topic.consumer(0)
        found = []
        for at_ms in (0, 1_001, 3_000, 3_001, 5_001):
            answer = (await consumer.offsets_for_times({topic.place(): at_ms}))[topic.place()]
            found.append(answer and (answer.offset, answer.timestamp))
        assert found == [(0, 1_000), (1, 3_000), (1, 3_000), (3, 5_000), None]

    cluster.run(scenario, 1)


def test_a_topics_partitions_are_known(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        consumer = await topic.member()
        assert consumer.partitions_for_topic(topic.name) == {0, 1, 2}

    cluster.run(scenario, 3)


def test_a_closed_consumer_says_so(cluster: Cluster) -> None:
    async def scenario(topic: Topic) -> None:
        consumer = await topic.consumer(0)
        polling = asyncio.create_task(consumer.getmany(timeout_ms=60_000))
        await asyncio.sleep(0.1)
        await consumer.stop()
        assert await asyncio.wait_for(polling, 20) == {}
        with pytest.raises(ConsumerStoppedError):
            await consumer.getmany(timeout_ms=10)

    cluster.run(scenario, 1)
