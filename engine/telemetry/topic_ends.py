"""Where the commands topic ends, asked now and then: what is before that and undecided is the lag."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from engine.kafka import client_options
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.telemetry.shard_gauges import ShardGauges

logger = logging.getLogger(__name__)

_INTERVAL_S: Final = 2.0
_BACK_OFF_S: Final = 5.0


async def watch_topic_ends(settings: Settings, shards: "ShardGauges") -> None:
    """Tell the shards' gauges of it until cancelled.

    While Kafka does not answer, there is no lag to be seen, rather than an old one.
    """
    while True:
        # its ends are those of all records: behind an open transaction the group's own sees none
        consumer = AIOKafkaConsumer(
            **client_options(settings),
            client_id="wallet-engine-metrics",
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            while True:
                await _look(settings.commands_topic, consumer, shards)
                await asyncio.sleep(_INTERVAL_S)
        except (KafkaError, OSError) as error:
            logger.info("topic_ends_unknown: %r; again in %.0f s", error, _BACK_OFF_S)
        finally:
            await consumer.stop()
        shards.forget_ends()
        await asyncio.sleep(_BACK_OFF_S)


async def _look(topic: str, consumer: AIOKafkaConsumer, shards: "ShardGauges") -> None:
    places = [TopicPartition(topic, shard) for shard in shards.assigned]
    if not places:
        return
    for place, end_offset in (await consumer.end_offsets(places)).items():
        if (progress := shards.progress.get(place.partition)) is not None:
            progress.end_offset = end_offset
