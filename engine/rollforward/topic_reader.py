"""Reads partitions of the topics from an offset or a moment on, outside any group."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from engine.closing import close_consumer
from engine.kafka import client_options
from engine.settings import Settings
from schemas.instants import to_microseconds

_PAGE_RECORDS: Final = 2_000
_POLL_MS: Final = 500
_STALLED_S: Final = 30.0


class Extent(NamedTuple):
    """The first offset that a partition still has, and the one after its last."""

    begin: int
    end: int


class TopicReader:
    """One partition at a time."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings) -> AsyncIterator["TopicReader"]:
        """Raises KafkaError while no broker answers."""
        consumer = AIOKafkaConsumer(
            **client_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            yield cls(consumer)
        finally:
            await close_consumer(consumer)

    async def extent(self, topic: str, partition: int) -> Extent:
        place = TopicPartition(topic, partition)
        begin = await self._consumer.beginning_offsets([place])
        end = await self._consumer.end_offsets([place])
        return Extent(begin[place], end[place])

    async def offset_at(self, topic: str, partition: int, moment: datetime) -> int | None:
        """The first offset of that time or later; None if there is none."""
        place = TopicPartition(topic, partition)
        timestamp_ms = max(0, to_microseconds(moment) // 1000)
        found = (await self._consumer.offsets_for_times({place: timestamp_ms}))[place]
        return None if found is None else int(found.offset)

    async def pages(
        self, topic: str, partition: int, begin: int, stop: int
    ) -> AsyncIterator[list[ConsumerRecord]]:
        """Records from offset `begin` up to `stop` (exclusive), which the partition has to have."""
        place, consumer = TopicPartition(topic, partition), self._consumer
        consumer.assign([place])
        consumer.seek(place, begin)
        deadline = time.monotonic() + _STALLED_S
        while await consumer.position(place) < stop:
            fetched = await consumer.getmany(place, timeout_ms=_POLL_MS, max_records=_PAGE_RECORDS)
            records = [record for record in fetched.get(place, ()) if record.offset < stop]
            if records:
                yield records
                deadline = time.monotonic() + _STALLED_S
            elif time.monotonic() > deadline:
                raise KafkaTimeoutError(
                    f"partition {partition} of {topic} gave nothing for {_STALLED_S:.0f} s"
                )
