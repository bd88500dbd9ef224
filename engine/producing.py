"""What one lease sends to Kafka: entries, dead letters, and commands on their way home."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Self

from aiokafka import AIOKafkaProducer

from engine.closing import closed_within
from engine.events_topic import EventRecord, Headers, cloud_event_headers
from engine.intake import FORWARDED_HEADER, Stray
from engine.kafka import client_options
from engine.settings import Settings
from schemas.instants import to_microseconds

logger = logging.getLogger(__name__)

_CLOSE_S: Final = 1.0
RECORD_BATCH_BYTES_MAX: Final = 1000 * 1024
"""Below the topic's `max.message.bytes`, and above all that the largest command causes."""


class ShardProducer:
    """An idempotent producer that belongs to one lease, with acks=all.

    Once anything has failed on it, it may have left a hole or fail for ever: close it, and go on
    with a new one from what the log says.
    """

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, shard: int) -> None:
        self._producer = producer
        self._settings = settings
        self._shard = shard

    @classmethod
    async def connect(cls, settings: Settings, shard: int) -> Self:
        """Raises KafkaError while no broker answers."""
        producer = AIOKafkaProducer(
            **client_options(settings),
            client_id=f"wallet-engine-shard-{shard}",
            acks="all",
            enable_idempotence=True,
            max_batch_size=RECORD_BATCH_BYTES_MAX,
        )
        connected = cls(producer, settings, shard)
        try:
            await producer.start()
        except BaseException:
            await connected.close()
            raise
        return connected

    async def publish(self, records: Sequence[EventRecord]) -> None:
        """Send entries as one record batch; returns when every in-sync replica has them."""
        batch = self._producer.create_batch()
        for record, headers in zip(records, self._entry_headers(records), strict=True):
            batch.append(
                timestamp=to_microseconds(record.occurred_at) // 1000,
                key=record.wallet_id.encode(),
                value=record.data,
                headers=headers,
            )
        if batch.record_count() != len(records):
            raise ValueError(f"{len(records)} entries do not fit into one record batch")
        sent = await self._producer.send_batch(
            batch, self._settings.events_topic, partition=self._shard
        )
        await sent

    async def publish_dead_letter(self, key: bytes | None, value: bytes) -> None:
        """Send a dead letter; returns when every in-sync replica has it."""
        await self._producer.send_and_wait(
            self._settings.dead_letters_topic, value, key=key, partition=self._shard
        )

    async def forward(self, strays: Sequence[Stray]) -> list[int]:
        """Send commands to their home partitions; the offsets that they got there."""
        sent = [
            await self._producer.send(
                self._settings.commands_topic,
                stray.payload,
                key=stray.wallet_id.encode(),
                partition=stray.home,
                headers=self._stray_headers(stray),
            )
            for stray in strays
        ]
        return [(await delivery).offset for delivery in sent]

    def _entry_headers(self, records: Sequence[EventRecord]) -> Iterable[Headers]:
        return cloud_event_headers(self._shard, records)

    def _stray_headers(self, stray: Stray) -> Headers:
        return [(FORWARDED_HEADER, b"%d:%d" % (self._shard, stray.offset))]

    async def close(self) -> None:
        if not await close_producer(self._producer):
            logger.info("a producer of shard %d was closed with sends under way", self._shard)


async def close_producer(producer: AIOKafkaProducer) -> bool:
    """End within two seconds: `AIOKafkaProducer.stop` would wait for an absent broker.

    False if sends were under way.
    """
    producer._closed = True  # noqa: SLF001
    return await closed_within(2 * _CLOSE_S, _close(producer)) is None


async def _close(producer: AIOKafkaProducer) -> None:
    try:
        # the sender first: once its client is closed, it may wait for metadata without end
        async with asyncio.timeout(_CLOSE_S):
            await producer._sender.close()  # noqa: SLF001
    finally:
        await producer.client.close()


class Forwarder:
    """Sends strays home for one lease; connects when the first one comes."""

    def __init__(self, connect: Callable[[], Awaitable[ShardProducer]]) -> None:
        self._connect = connect
        self._producer: ShardProducer | None = None

    async def forward(self, strays: Sequence[Stray]) -> list[int]:
        """Send commands to their home partitions; the offsets that they got there."""
        if self._producer is None:
            self._producer = await self._connect()
        return await self._producer.forward(strays)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close()
