"""The partitions that the group has assigned to this process, each with an owner; nothing waits.

Records are only handed on. Offsets are committed to Kafka for lag dashboards and as the proof of
membership; what is decided stands in the database alone.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from itertools import chain, groupby
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from engine.batch import Batch
from engine.fit import check_partitions, check_shard
from engine.inspection import TopicInspector
from engine.lease import Lease
from engine.log import ShardLog
from engine.notifier import Notifier
from engine.observation import NOBODY, Observer
from engine.owner import ShardOwner
from engine.producing import Forwarder
from engine.publisher import Publisher
from engine.settings import Settings

logger = logging.getLogger(__name__)

_POLL_MS: Final = 500
_COMMIT_INTERVAL_S: Final = 1.0


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

    async def ends(self) -> tuple[int, int]:
        begin = await self._consumer.beginning_offsets([self._place])
        end = await self._consumer.end_offsets([self._place])
        return int(begin[self._place]), int(end[self._place])

    async def prove(self, offset: int) -> None:
        await self._consumer.commit({self._place: OffsetAndMetadata(offset, "")})


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hears of rebalances, and keeps one owner for each assigned partition.

    `consumer` gives the group's client of the moment: one that has given up is replaced.
    """

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        owner_name: str,
        clock: Callable[[], datetime],
        consumer: Callable[[], AIOKafkaConsumer | None],
        *,
        observer: Observer = NOBODY,
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._owner_name = owner_name
        self._clock = clock
        self._consumer = consumer
        self._observer = observer
        self._owners: dict[int, ShardOwner] = {}
        self._inspector = TopicInspector(settings)
        self._notifier = Notifier(settings)
        self._closing = False
        self._undelivered: set[int] = set()

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What tells of decisions, and what commits offsets: each to run until cancelled."""
        return self._notifier.run(), self._commit_offsets()

    async def fetch(self, consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
        """The next records of any partitions, or none after a while.

        Call it again only when they have been delivered: what has not been is fetched anew, since
        a framework that failed on the last records of a partition would leave them undecided.
        """
        for partition in sorted(self._undelivered):
            if (owner := self._owners.get(partition)) is not None:
                logger.warning("not_delivered partition=%d: fetching it again", partition)
                owner.fetch_again()
        self._undelivered.clear()
        fetched = await consumer.getmany(
            timeout_ms=_POLL_MS, max_records=self._settings.batch_commands_max
        )
        if not fetched:
            # a client that is closing answers at once, and must not keep the loop to itself
            await asyncio.sleep(0)
        self._undelivered.update(place.partition for place in fetched)
        return tuple(chain.from_iterable(fetched.values()))

    async def deliver(self, records: Sequence[ConsumerRecord]) -> None:
        """Hand records to the owners of their partitions."""
        for partition, delivered in groupby(records, key=_partition_of):
            owner = self._owners.get(partition)
            if owner is not None:
                batch = list(delivered)
                self._observer.delivered(partition, batch)
                owner.deliver(batch)
            self._undelivered.discard(partition)

    async def give_up(self) -> None:
        """Finish what is being appended, and give up the shards, in a few seconds at most."""
        owners, self._owners = self._owners, {}
        self._observer.assigned(frozenset())
        await asyncio.gather(*(owner.stop() for owner in owners.values()))

    def refuse_more(self) -> None:
        """Take no partition on from here on."""
        self._closing = True

    async def close(self) -> None:
        """Let go of what reads the topics beside the group."""
        await self._inspector.close()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        # every rebalance revokes everything: the protocol of the client is the eager one
        await self.give_up()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        consumer = self._consumer()
        if consumer is None or self._closing:
            return
        consumer.pause(*assigned)
        for place in sorted(assigned):
            membership = PartitionMembership(consumer, place)
            owner = ShardOwner(
                place.partition, membership, self._connect, partial(self._claim, membership)
            )
            self._owners[place.partition] = owner
            owner.start()
        self._observer.assigned(frozenset(self._owners))

    async def _connect(self, shard: int) -> ShardLog:
        return await self._observer.open_log(shard, self._settings)

    async def _claim(self, membership: PartitionMembership, log: ShardLog) -> Lease:
        row = await log.claim(self._owner_name)
        self._check_partitions()
        await check_shard(self._settings, self._inspector, log, row)
        connect = partial(self._observer.open_producer, log.shard, self._settings)
        return Lease(
            row,
            log,
            membership,
            Publisher(
                log,
                connect,
                published=row.published,
                committed=row.position,
                clock=self._clock,
            ),
            Forwarder(connect),
            partitions=self._partitions,
            settings=self._settings,
            clock=self._clock,
            on_commit=self._committed,
            timed=self._observer.stage,
        )

    def _committed(self, shard: int, batch: Batch) -> None:
        self._notifier.moved(shard, batch)
        self._observer.committed(shard, batch)

    def _check_partitions(self) -> None:
        consumer = self._consumer()
        found = consumer and consumer.partitions_for_topic(self._settings.commands_topic)
        if found:
            check_partitions(self._settings, len(found), self._partitions)

    async def _commit_offsets(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_INTERVAL_S)
            consumer = self._consumer()
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


def _partition_of(record: ConsumerRecord) -> int:
    return int(record.partition)
