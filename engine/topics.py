"""The three topics: creating them, and seeing what they are."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from engine.closing import closed_within
from engine.errors import EngineError
from engine.kafka import client_options
from engine.settings import Settings

RECORD_BYTES_MAX: Final = 1024 * 1024
"""What a record batch of any of our topics may have: far above an entry or a dead letter."""

_VISIBLE_TIMEOUT_S = 30.0
_POLL_S = 0.05
_CLOSE_S = 1.0


class TopicsNotCreatedError(EngineError):
    """The cluster refused to create a topic."""

    code = "topics_not_created"


class TopicDescription(Struct, frozen=True, kw_only=True):
    """A topic as the cluster has it.

    `replicas` and `in_sync_replicas` are those of the partition that has the fewest. `configs`
    are all of the topic's, defaults included, as text by Kafka's names.
    """

    partitions: int
    replicas: int
    in_sync_replicas: int
    configs: dict[str, str]

    @property
    def cleanup_policies(self) -> set[str]:
        """`delete`, `compact` or both."""
        return set(self.configs["cleanup.policy"].split(","))

    @property
    def max_message_bytes(self) -> int:
        """The largest record batch that the topic takes."""
        return int(self.configs["max.message.bytes"])

    @property
    def min_in_sync_replicas(self) -> int:
        """How many replicas have a record before `acks=all` is answered, at least."""
        return int(self.configs["min.insync.replicas"])


async def create_topics(settings: Settings) -> list[str]:
    """Create those of the three topics that are missing, and wait until they can be used.

    Returns the names of the created ones. What exists is left as it is.
    """
    wanted = {topic.name: topic for topic in _new_topics(settings)}
    async with _admin(settings) as admin:
        created: list[str] = []
        missing = wanted.keys() - await _visible(admin)
        if missing:
            response = await admin.create_topics([wanted[name] for name in sorted(missing)])
            created = _created(response.topic_errors, settings)
        await _wait_until_visible(admin, wanted)
    return created


async def describe_topics(settings: Settings) -> dict[str, TopicDescription]:
    """The three topics by name; one that does not exist is left out."""
    names = {settings.commands_topic, settings.events_topic, settings.dead_letters_topic}
    async with _admin(settings) as admin:
        found = {name: topic for name, topic in (await _visible(admin)).items() if name in names}
        configs = await _configs(admin, list(found)) if found else {}
    return {
        name: TopicDescription(
            partitions=len(topic["partitions"]),
            replicas=min(len(partition["replicas"]) for partition in topic["partitions"]),
            in_sync_replicas=min(len(partition["isr"]) for partition in topic["partitions"]),
            configs=configs[name],
        )
        for name, topic in found.items()
    }


def _new_topics(settings: Settings) -> list[NewTopic]:
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_BYTES_MAX),
        # one replica may be away without the topic refusing what is sent with acks=all
        "min.insync.replicas": str(max(1, settings.replication_factor - 1)),
    }
    names = (settings.commands_topic, settings.events_topic, settings.dead_letters_topic)
    return [
        NewTopic(
            name,
            num_partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            topic_configs=configs,
        )
        for name in names
    ]


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await closed_within(_CLOSE_S, admin.close())


async def _visible(admin: AIOKafkaAdminClient) -> dict[str, Any]:
    # asking for one topic by name makes a cluster with auto.create.topics.enable create it
    topics = await admin.describe_topics()
    return {
        topic["topic"]: topic
        for topic in topics
        if not topic["error_code"]
        and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }


async def _wait_until_visible(admin: AIOKafkaAdminClient, wanted: dict[str, NewTopic]) -> None:
    deadline = time.monotonic() + _VISIBLE_TIMEOUT_S
    while missing := wanted.keys() - await _visible(admin):
        if time.monotonic() > deadline:
            raise TopicsNotCreatedError(
                f"no leader for topic {', '.join(sorted(missing))} within"
                f" {_VISIBLE_TIMEOUT_S:.0f} s: are all brokers up?"
            )
        await asyncio.sleep(_POLL_S)


def _created(answers: list[tuple[str, int, str | None]], settings: Settings) -> list[str]:
    for name, code, message in answers:
        # another process may have created the same topic a moment ago
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise TopicsNotCreatedError(
                f"the cluster at {settings.kafka_bootstrap} did not create topic {name}:"
                f" {message or for_code(code).__name__} (WALLET_PARTITIONS={settings.partitions},"
                f" WALLET_REPLICATION_FACTOR={settings.replication_factor})"
            )
    return [name for name, code, _ in answers if not code]


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for resource in response.to_object()["resources"]:
            if resource["error_code"]:
                raise KafkaError(
                    f"can't read the settings of topic {resource['resource_name']}:"
                    f" {for_code(resource['error_code']).__name__}"
                )
            configs[resource["resource_name"]] = {
                entry["config_names"]: entry["config_value"]
                for entry in resource["config_entries"]
            }
    return configs
