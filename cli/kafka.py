"""Plain words for what goes wrong with Kafka."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from cli.errors import KafkaUnreachableError, SendFailedError, TopicMissingError
from engine.settings import Settings
from engine.topics import describe_topics


@contextmanager
def reaching_kafka(settings: Settings) -> Iterator[None]:
    """Turn what aiokafka raises inside into a CommandError that names the address."""
    # the client logs each address that it can't reach, and the command says it once
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        yield
    except (KafkaConnectionError, KafkaTimeoutError, TimeoutError) as error:
        raise KafkaUnreachableError(
            f"can't reach Kafka at {settings.kafka_bootstrap}: is it up (`wallet dev` starts one),"
            " and is WALLET_KAFKA_BOOTSTRAP right?"
        ) from error
    except KafkaError as error:
        raise SendFailedError(
            f"Kafka at {settings.kafka_bootstrap} refused: {type(error).__name__}: {error}"
        ) from error


async def commands_partitions(settings: Settings) -> int:
    """How many partitions the commands topic has; raises TopicMissingError if it isn't there."""
    topics = await describe_topics(settings)
    if settings.commands_topic not in topics:
        raise TopicMissingError(
            f"Kafka at {settings.kafka_bootstrap} has no topic {settings.commands_topic}: `wallet"
            " migrate --topics` creates it; or is WALLET_COMMANDS_TOPIC wrong?"
        )
    return topics[settings.commands_topic].partitions
