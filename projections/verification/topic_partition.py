"""One partition of a topic, read from its first record to a given offset."""

import time
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from projections.verification.errors import TopicsUnreachableError

_PAGE_RECORDS: Final = 2_000
_POLL_MS: Final = 500
_STALLED_S: Final = 30.0


class Extent(NamedTuple):
    """The first offset that a partition still has, and the one after its last."""

    begin: int
    end: int


class PartitionReader:
    """Reads one partition through a consumer that it is assigned to, and paused for."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, partition: int) -> None:
        self._consumer = consumer
        self._place = TopicPartition(topic, partition)

    def __str__(self) -> str:
        return f"{self._place.topic}, partition {self._place.partition}"

    async def extent(self) -> Extent:
        """How far the partition reaches, aborted and open transactions left out."""
        begin = await self._consumer.beginning_offsets([self._place])
        end = await self._consumer.end_offsets([self._place])
        return Extent(begin[self._place], end[self._place])

    async def pages(self, begin: int, stop: int) -> AsyncIterator[list[ConsumerRecord]]:
        """Records from `begin` up to `stop` (exclusive), which the partition has to have."""
        place, consumer = self._place, self._consumer
        consumer.seek(place, begin)
        consumer.resume(place)
        deadline = time.monotonic() + _STALLED_S
        while await consumer.position(place) < stop:
            fetched = await consumer.getmany(place, timeout_ms=_POLL_MS, max_records=_PAGE_RECORDS)
            records = [record for record in fetched.get(place, ()) if record.offset < stop]
            if records:
                deadline = time.monotonic() + _STALLED_S
                yield records
            elif time.monotonic() > deadline:
                raise TopicsUnreachableError(
                    f"Partition {place.partition} of {place.topic} gave nothing for "
                    f"{_STALLED_S:.0f} s: are its brokers up?"
                )
        consumer.pause(place)
