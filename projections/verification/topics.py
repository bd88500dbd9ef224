"""The topics, once they are known to be there, to be compared with shards one by one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from engine.closing import close_consumer
from engine.kafka import client_options
from engine.settings import Settings
from engine.topics import describe_topics
from projections.verification.errors import TopicsUnreachableError
from projections.verification.topic_partition import PartitionReader

_FETCH_WAIT_MS: Final = 20


class Topics:
    """Readers of the commands and the events topic."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._consumer = consumer

    def commands(self, shard: int) -> PartitionReader:
        """The commands of a shard."""
        return PartitionReader(self._consumer, self._settings.commands_topic, shard)

    def events(self, shard: int) -> PartitionReader:
        """What was published of a shard."""
        return PartitionReader(self._consumer, self._settings.events_topic, shard)


@asynccontextmanager
async def reaching_topics(settings: Settings, shards: Sequence[int]) -> AsyncIterator[Topics]:
    """Readers for these shards, outside of any group; raises TopicsUnreachableError."""
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        # a fetch that waits for records past the end holds up what is asked next
        fetch_max_wait_ms=_FETCH_WAIT_MS,
    )
    try:
        await _check_topics_exist(settings)
        await consumer.start()
        # once for all: aiokafka's `stop` can hang right after a new assignment
        names = (settings.commands_topic, settings.events_topic)
        places = [TopicPartition(name, shard) for name in names for shard in shards]
        consumer.assign(places)
        consumer.pause(*places)
        yield Topics(settings, consumer)
    except KafkaError as error:
        raise TopicsUnreachableError(
            f"Kafka at {settings.kafka_bootstrap} does not answer ({error}): check "
            "WALLET_KAFKA_BOOTSTRAP, or leave the topics out with --no-kafka."
        ) from error
    finally:
        await close_consumer(consumer)


async def _check_topics_exist(settings: Settings) -> None:
    topics = await describe_topics(settings)
    for name in (settings.commands_topic, settings.events_topic):
        if name not in topics:
            raise TopicsUnreachableError(
                f"Kafka at {settings.kafka_bootstrap} has no topic {name}: check "
                "WALLET_KAFKA_BOOTSTRAP, WALLET_COMMANDS_TOPIC and WALLET_EVENTS_TOPIC."
            )
