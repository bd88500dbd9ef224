"""Looks at single records of the topics, to see whether they and the database fit together."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from engine.closing import close_consumer
from engine.kafka import client_options
from engine.settings import Settings
from schemas.instants import to_microseconds

_READ_S: Final = 10.0
_POLL_MS: Final = 500


class TopicInspector:
    """A consumer outside any group; one question at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close_consumer(consumer)

    async def ends(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset, offset after the last) of a partition."""
        async with self._turn:
            return await self._ends(TopicPartition(topic, partition))

    async def record_at(self, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
        """The record at or after `offset`; None if there is none before the partition's end."""
        async with self._turn:
            return await self._read(TopicPartition(topic, partition), offset)

    async def last_record(self, topic: str, partition: int) -> ConsumerRecord | None:
        """The last record of a partition; None if it is empty."""
        place = TopicPartition(topic, partition)
        async with self._turn:
            begin, end = await self._ends(place)
            # the last offsets may be markers of transactions
            step = 1
            while (start := max(begin, end - step)) < end:
                record = last = await self._read(place, start)
                while record is not None:
                    last = record
                    record = await self._read(place, record.offset + 1)
                if last is not None or start == begin:
                    return last
                step *= 4
            return None

    async def find_since(
        self,
        topic: str,
        partition: int,
        moment: datetime,
        wanted: Callable[[ConsumerRecord], bool],
    ) -> ConsumerRecord | None:
        """The first wanted record among those from the first one of that time or later on."""
        place = TopicPartition(topic, partition)
        timestamp_ms = max(0, to_microseconds(moment) // 1000)
        async with self._turn:
            consumer = await self._connected()
            start = (await consumer.offsets_for_times({place: timestamp_ms}))[place]
            _, end = await self._ends(place)
            if start is None:
                return None
            consumer.assign([place])
            consumer.seek(place, start.offset)
            deadline = time.monotonic() + _READ_S
            while await consumer.position(place) < end:
                fetched = await consumer.getmany(place, timeout_ms=_POLL_MS)
                for record in fetched.get(place, ()):
                    deadline = time.monotonic() + _READ_S
                    if wanted(record):
                        return record
                if time.monotonic() > deadline:
                    raise KafkaTimeoutError(f"{topic}-{partition} gave nothing")
        return None

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **client_options(self._settings),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
            )
            try:
                await consumer.start()
            except BaseException:
                await close_consumer(consumer)
                raise
            self._consumer = consumer
        return self._consumer

    async def _ends(self, place: TopicPartition) -> tuple[int, int]:
        consumer = await self._connected()
        begin = await consumer.beginning_offsets([place])
        end = await consumer.end_offsets([place])
        return begin[place], end[place]

    async def _read(self, place: TopicPartition, offset: int) -> ConsumerRecord | None:
        consumer = await self._connected()
        _, end = await self._ends(place)
        if offset >= end:
            return None
        consumer.assign([place])
        consumer.seek(place, offset)
        deadline = time.monotonic() + _READ_S
        while time.monotonic() < deadline:
            fetched = await consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1)
            for record in fetched.get(place, ()):
                return record
            if await consumer.position(place) >= end:
                return None
        raise KafkaTimeoutError(f"{place.topic}-{place.partition} gave no record at {offset}")
