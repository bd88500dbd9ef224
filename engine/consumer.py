"""The consumer group's side: partitions come and go, records go to the leases, nothing waits.

The subscriber's handler only enqueues. Offsets are committed to Kafka for lag dashboards and as
the proof of membership; what is decided stands in the database alone.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, groupby
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.schemas import Topic
from faststream.kafka.subscriber.usecase import BatchSubscriber

from engine.fetched_records import tolerate_header_names
from engine.fit import check_partitions, check_shard
from engine.inspection import TopicInspector
from engine.kafka import broker_security
from engine.lease import Lease
from engine.log import ShardLog
from engine.notifier import Notifier
from engine.owner import ShardOwner
from engine.producing import Forwarder, ShardProducer
from engine.publisher import Publisher
from engine.settings import Settings

logger = logging.getLogger(__name__)
# not FastStream's own, which writes past the log format; below errors it tells what we ask it for
_framework_logger = logging.getLogger("engine.faststream")
_framework_logger.setLevel(logging.ERROR)

_POLL_MS: Final = 500
_COMMIT_INTERVAL_S: Final = 1.0
_FETCH_BYTES_MAX: Final = 4 * 1024 * 1024
_LEAVE_S: Final = 3.0
_WATCH_INTERVAL_S: Final = 1.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class PartitionMembership:
    """One partition of the group's consumer."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        self._consumer = consumer
        self._place = place

    def seek(self, offset: int) -> None:
        self._consumer.seek(self._place, offset)

    def pause(self) -> None:
        if self._place in self._consumer.assignment():
            self._consumer.pause(self._place)

    def resume(self) -> None:
        self._consumer.resume(self._place)

    async def beginning_offset(self) -> int:
        offsets = await self._consumer.beginning_offsets([self._place])
        return int(offsets[self._place])

    async def prove(self, offset: int) -> None:
        await self._consumer.commit({self._place: OffsetAndMetadata(offset, "")})


class CommandConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Subscribes to the commands topic and keeps one owner for each assigned partition."""

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        owner_name: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        tolerate_header_names()
        self._settings = settings
        self._partitions = partitions
        self._owner_name = owner_name
        self._clock = clock
        self._owners: dict[int, ShardOwner] = {}
        self._inspector = TopicInspector(settings)
        self._notifier = Notifier(settings)
        self._background: list[asyncio.Task[None]] = []
        self._stopping = False
        self.broker = KafkaBroker(
            settings.kafka_bootstrap.split(","),
            security=broker_security(settings),
            allow_auto_create_topics=False,
            apply_types=False,
            logger=_framework_logger,
            log_level=logging.DEBUG,
        )
        self._subscriber = self._subscribe()

    def _subscribe(self) -> BatchSubscriber:
        settings = self._settings
        subscriber = self.broker.subscriber(
            Topic(settings.commands_topic, declare=False),
            batch=True,
            group_id=settings.group,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 5,
            max_partition_fetch_bytes=_FETCH_BYTES_MAX,
            listener=self,
            parser=_parse,
            decoder=_decode,
        )
        subscriber.get_msg = self._fetch  # type: ignore[method-assign]
        subscriber(self._enqueue)
        return subscriber

    async def _fetch(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """Records as soon as there are any: FastStream's own sleeps after each empty poll."""
        fetched = await consumer.getmany(
            timeout_ms=_POLL_MS, max_records=self._settings.batch_commands_max
        )
        if not fetched:
            # a client that is closing answers at once, and must not keep the loop to itself
            await asyncio.sleep(0)
        return tuple(chain.from_iterable(fetched.values()))

    async def start(self) -> None:
        """Join the group. Raises KafkaError while no broker answers."""
        await self.broker.start()
        self._background = [
            asyncio.create_task(self._notifier.run()),
            asyncio.create_task(self._commit_offsets()),
            asyncio.create_task(self._watch_client()),
        ]

    async def stop(self) -> None:
        """Finish what is being appended, give up the shards, then leave the group.

        Takes a few seconds at most, whether or not Kafka and the database answer.
        """
        self._stopping = True
        await self._stop_owners()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        try:
            async with asyncio.timeout(_LEAVE_S):
                await self.broker.stop()
                await self._inspector.close()
        except (TimeoutError, ExceptionGroup) as error:
            logger.warning("group_not_left: %r; the session will time out", error)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        # every rebalance revokes everything: the protocol of the client is the eager one
        await self._stop_owners()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        consumer = self._subscriber.consumer
        if consumer is None or self._stopping:
            return
        consumer.pause(*assigned)
        for place in assigned:
            membership = PartitionMembership(consumer, place)
            owner = ShardOwner(
                place.partition, membership, self._connect, partial(self._claim, membership)
            )
            self._owners[place.partition] = owner
            owner.start()

    async def _stop_owners(self) -> None:
        owners, self._owners = self._owners, {}
        await asyncio.gather(*(owner.stop() for owner in owners.values()))

    async def _enqueue(self, records: Sequence[ConsumerRecord]) -> None:
        for partition, delivered in groupby(records, key=_partition_of):
            owner = self._owners.get(partition)
            if owner is not None:
                owner.deliver(list(delivered))

    async def _connect(self, shard: int) -> ShardLog:
        return await ShardLog.connect(shard, self._settings)

    async def _claim(self, membership: PartitionMembership, log: ShardLog) -> Lease:
        row = await log.claim(self._owner_name)
        self._check_partitions()
        await check_shard(self._settings, self._inspector, log, row)
        connect = partial(ShardProducer.connect, self._settings, log.shard)
        return Lease(
            row,
            log,
            membership,
            Publisher(log, connect, published=row.published, committed=row.position),
            Forwarder(connect),
            partitions=self._partitions,
            settings=self._settings,
            clock=self._clock,
            on_commit=self._notifier.moved,
        )

    def _check_partitions(self) -> None:
        consumer = self._subscriber.consumer
        found = consumer and consumer.partitions_for_topic(self._settings.commands_topic)
        if found:
            check_partitions(self._settings, len(found), self._partitions)

    async def _watch_client(self) -> None:
        """Join the group anew once the client has given up: nothing would come from it again."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if not _has_given_up(self._subscriber):
                continue
            logger.error("consumer_gave_up: joining the group anew")
            await self._stop_owners()
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self._subscriber.stop()
            except (TimeoutError, KafkaError) as error:
                # what ended the client is raised here once more
                logger.warning("group_not_left: %r; the session may have to time out", error)
            try:
                await self._subscriber.start()
            except KafkaError as error:
                logger.warning("group_not_joined: %r; again soon", error)

    async def _commit_offsets(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_INTERVAL_S)
            consumer = self._subscriber.consumer
            offsets = {
                TopicPartition(self._settings.commands_topic, shard): OffsetAndMetadata(
                    owner.committed.offset, ""
                )
                for shard, owner in self._owners.items()
                if owner.committed is not None
            }
            if consumer is None or not offsets:
                continue
            try:
                await consumer.commit(offsets)
            except (KafkaError, IllegalStateError) as error:
                # dashboards lag; decisions do not rest on it
                logger.debug("offsets not committed: %r", error)


def _has_given_up(subscriber: BatchSubscriber) -> bool:
    """Whether one of the tasks has ended without which no record is fetched or handed over."""
    consumer = subscriber.consumer
    if consumer is None or consumer._coordinator is None:  # noqa: SLF001
        return True
    tasks = [consumer._coordinator._coordination_task, consumer._fetcher._fetch_task]  # noqa: SLF001
    return any(task.done() for task in tasks) or all(task.done() for task in subscriber.tasks)


def _partition_of(record: ConsumerRecord) -> int:
    return int(record.partition)


async def _parse(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    return KafkaMessage(raw_message=records, body=b"", consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message
