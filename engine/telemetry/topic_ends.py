"""Where the commands topic ends, asked now and then: what is before that and undecided is the lag."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from engine.closing import close_consumer
from engine.kafka import client_options
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.telemetry.shard_gauges import ShardGauges

logger = logging.getLogger(__name__)

_INTERVAL_S: Final = 2.0
_BACK_OFF_S: Final = 5.0
_READ_S: Final = 2.0
_POLL_MS: Final = 200


async def watch_topic_ends(settings: Settings, shards: "ShardGauges") -> None:
    """Tell the shards' gauges of it until cancelled.

    While Kafka does not answer, there is no lag to be seen, rather than an old one.
    """
    while True:
        consumer = consumer_of_ends(settings)
        try:
            await consumer.start()
            ends = TopicEnds(settings.commands_topic, consumer, shards)
            while True:
                await ends.look()
                await asyncio.sleep(_INTERVAL_S)
        except (KafkaError, OSError) as error:
            logger.info("topic_ends_unknown: %r; again in %.0f s", error, _BACK_OFF_S)
        finally:
            await close_consumer(consumer)
        shards.forget_ends()
        await asyncio.sleep(_BACK_OFF_S)


def consumer_of_ends(settings: Settings) -> AIOKafkaConsumer:
    """A client that sees records of open transactions, behind which the group's own sees no lag."""
    return AIOKafkaConsumer(
        **client_options(settings),
        client_id="wallet-engine-metrics",
        enable_auto_commit=False,
        isolation_level="read_uncommitted",
    )


class TopicEnds:
    """Looks where the partitions of this process's shards end.

    The markers that end transactions take up offsets, too. If nothing else is left of a partition,
    its end is where the shard is.
    """

    def __init__(self, topic: str, consumer: AIOKafkaConsumer, shards: "ShardGauges") -> None:
        self._topic = topic
        self._consumer = consumer
        self._shards = shards
        self._last: dict[int, tuple[int, int]] = {}
        self._only_markers: dict[int, tuple[int, int]] = {}

    async def look(self) -> None:
        """Look once at each. Raises KafkaError."""
        places = [TopicPartition(self._topic, shard) for shard in self._shards.assigned]
        ends = await self._consumer.end_offsets(places) if places else {}
        for place, end in ends.items():
            progress = self._shards.progress.get(place.partition)
            if progress is not None:
                left = (progress.next_offset, end)
                progress.end_offset = left[0] if await self._has_none(place, left) else end

    async def _has_none(self, place: TopicPartition, left: tuple[int, int]) -> bool:
        """Whether there is no record in [start, end); asked for only once both stand still."""
        shard, (start, end) = place.partition, left
        stands, self._last[shard] = self._last.get(shard) == left, left
        if start >= end or self._only_markers.get(shard) == left:
            return True
        if not stands or await self._has_record(place, start, end):
            return False
        self._only_markers[shard] = left
        return True

    async def _has_record(self, place: TopicPartition, start: int, end: int) -> bool:
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        deadline = time.monotonic() + _READ_S
        while time.monotonic() < deadline:
            if await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1):
                return True
            if await self._consumer.position(place) >= end:
                return False
        return True
