"""A topic on real Kafka, or on the simulated broker: the same tests run on both."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.simulation.broker import SimulatedBroker
from tests.simulation.clients import SimulatedConsumer, SimulatedProducer
from tests.simulation.loop import VirtualLoop

RECORD_BYTES_MAX: Final = 4_096
SESSION_MS: Final = 1_000
MEMBER: Final = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "session_timeout_ms": SESSION_MS,
    "heartbeat_interval_ms": SESSION_MS // 5,
}


@dataclass
class Topic:
    """One topic of a test's own, and clients for it that are closed when the test ends."""

    cluster: "Cluster"
    name: str
    group: str
    partitions: int
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)

    def place(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.name, partition)

    @property
    def places(self) -> set[TopicPartition]:
        return {self.place(number) for number in range(self.partitions)}

    async def producer(self) -> Any:
        producer = self.cluster.new_producer(
            acks="all", enable_idempotence=True, max_batch_size=1_000_000
        )
        await producer.start()
        self.closing.push_async_callback(producer.stop)
        return producer

    async def consumer(self, *partitions: int) -> Any:
        """Outside of any group, with these partitions assigned."""
        consumer = self.cluster.new_consumer(**MEMBER)
        await consumer.start()
        self.closing.push_async_callback(consumer.stop)
        consumer.assign([self.place(number) for number in partitions])
        return consumer

    async def member(self, listener: Any = None) -> Any:
        consumer = self.cluster.new_consumer(group_id=self.group, **MEMBER)
        consumer.subscribe([self.name], listener=listener)
        await consumer.start()
        self.closing.push_async_callback(consumer.stop)
        return consumer

    async def send(self, *values: bytes, partition: int = 0) -> None:
        producer = await self.producer()
        for value in values:
            await producer.send_and_wait(self.name, value, key=b"key", partition=partition)


class Cluster(Protocol):
    """Kafka, real or simulated."""

    def run(self, scenario: Callable[[Topic], Coroutine[Any, Any, None]], partitions: int) -> None:
        """Run a scenario on a topic of its own."""

    def new_producer(self, **options: Any) -> Any: ...

    def new_consumer(self, **options: Any) -> Any: ...

    async def leave_gap(self, topic: Topic, partition: int) -> None:
        """Let transactions take the partition's next offsets, without a record to be read."""

    async def vanish(self, member: Any) -> None:
        """Let a member of the group be gone without a word."""


class RealCluster:
    """The broker that the tests' stack has started."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def run(self, scenario: Callable[[Topic], Coroutine[Any, Any, None]], partitions: int) -> None:
        async def with_topic() -> None:
            tag = uuid.uuid4().hex[:12]
            topic = Topic(self, f"t{tag}", f"g{tag}", partitions)
            async with self._created(topic), topic.closing:
                await scenario(topic)

        asyncio.run(with_topic())

    @asynccontextmanager
    async def _created(self, topic: Topic) -> AsyncIterator[None]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            configs = {"max.message.bytes": str(RECORD_BYTES_MAX)}
            await admin.create_topics(
                [NewTopic(topic.name, topic.partitions, 1, topic_configs=configs)]
            )
            yield
            await admin.delete_topics([topic.name])
        finally:
            await admin.close()

    def new_producer(self, **options: Any) -> AIOKafkaProducer:
        # the broker refuses what is too large, not the client
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, max_request_size=1_000_000, **options
        )

    def new_consumer(self, **options: Any) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(bootstrap_servers=self._bootstrap, **options)

    async def leave_gap(self, topic: Topic, partition: int) -> None:
        producer = self.new_producer(transactional_id=topic.name)
        await producer.start()
        try:
            await producer.begin_transaction()
            aborted = await producer.send_and_wait(topic.name, b"aborted", partition=partition)
            await producer.abort_transaction()
        finally:
            await producer.stop()
        # the broker answers before it has written the marker
        place, reader = topic.place(partition), await topic.consumer(partition)
        while (await reader.end_offsets([place]))[place] < aborted.offset + 2:
            await reader.getmany(timeout_ms=20)

    async def vanish(self, member: AIOKafkaConsumer) -> None:
        coordinator = member._coordinator
        tasks = [coordinator._coordination_task, coordinator._heartbeat_task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # its own closing would wait for what has been cancelled
        coordinator._heartbeat_task = None
        coordinator._coordination_task = asyncio.create_task(asyncio.sleep(0))


class SimulatedCluster:
    """The simulated broker on a virtual clock."""

    def __init__(self, seed: int) -> None:
        self._loop = VirtualLoop(Random(seed), shuffled=0.5)  # type: ignore[abstract]
        self._broker = SimulatedBroker(
            self._loop,
            lambda: int(self._loop.time() * 1000),
            ["topic"],
            1,
            Random(seed + 1),
            record_bytes_max=RECORD_BYTES_MAX,
        )

    def run(self, scenario: Callable[[Topic], Coroutine[Any, Any, None]], partitions: int) -> None:
        async def with_topic() -> None:
            self._broker.create_topic("topic", partitions)
            topic = Topic(self, "topic", "group", partitions)
            async with topic.closing:
                await scenario(topic)

        try:
            self._loop.run_until_complete(with_topic())
        finally:
            self._loop.close()

    def new_producer(self, **options: Any) -> SimulatedProducer:
        return SimulatedProducer(self._broker, **options)

    def new_consumer(self, **options: Any) -> SimulatedConsumer:
        return SimulatedConsumer(self._broker, **options)

    async def leave_gap(self, topic: Topic, partition: int) -> None:
        self._broker.mark(topic.name, partition)
        self._broker.mark(topic.name, partition)

    async def vanish(self, member: SimulatedConsumer) -> None:
        membership = member._membership
        assert membership is not None
        assert membership._task is not None
        membership._task.cancel()
        await membership._stop_heartbeats()


def values(fetched: dict[TopicPartition, list[ConsumerRecord]]) -> list[bytes | None]:
    return [record.value for records in fetched.values() for record in records]


async def read(consumer: Any, count: int) -> list[Any]:
    """The next `count` records."""
    found: list[Any] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += records
    return found


async def until(condition: Callable[[], object]) -> None:
    """Look again and again, in the time of the loop, which may be virtual."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 20
    while not condition():
        assert loop.time() < deadline
        await asyncio.sleep(0.02)
