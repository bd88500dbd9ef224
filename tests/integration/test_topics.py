"""The topics are created as the service needs them, once, and described as they are."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from engine.settings import Settings
from engine.topics import (
    RECORD_BYTES_MAX,
    TopicsNotCreatedError,
    create_topics,
    describe_topics,
)


@pytest.fixture
def settings(kafka_bootstrap, topic_names):
    return Settings(
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        partitions=3,
    )


async def test_missing_topics_are_created_and_can_be_used_at_once(settings, topic_names):
    assert await describe_topics(settings) == {}

    created = await create_topics(settings)

    topics = await describe_topics(settings)
    assert sorted(created) == sorted(topic_names.topics)
    assert set(topics) == set(topic_names.topics)
    for topic in topics.values():
        assert (topic.partitions, topic.replicas, topic.in_sync_replicas) == (3, 1, 1)
        assert topic.cleanup_policies == {"delete"}
        assert topic.configs["retention.ms"] == "-1"
        assert topic.max_message_bytes == RECORD_BYTES_MAX
        assert topic.min_in_sync_replicas == 1


async def test_what_exists_is_left_as_it_is(settings, kafka_bootstrap, topic_names):
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    configs = {"cleanup.policy": "compact,delete", "max.message.bytes": "5000"}
    other = NewTopic(topic_names.commands, 7, 1, topic_configs=configs)
    await admin.create_topics([other])
    await admin.close()

    created = await create_topics(settings)

    assert topic_names.commands not in created
    found = (await describe_topics(settings))[topic_names.commands]
    assert found.partitions == 7
    assert found.cleanup_policies == {"compact", "delete"}
    assert found.max_message_bytes == 5000


async def test_many_processes_can_create_them_at_once(settings, topic_names):
    created = await asyncio.gather(*(create_topics(settings) for _ in range(4)))

    assert sorted(name for names in created for name in names) == sorted(topic_names.topics)
    assert set(await describe_topics(settings)) == set(topic_names.topics)


async def test_a_refusal_names_the_topic_and_the_settings(settings, topic_names):
    refused = settings.model_copy(update={"replication_factor": 3})

    with pytest.raises(TopicsNotCreatedError, match="WALLET_REPLICATION_FACTOR=3"):
        await create_topics(refused)


async def test_a_broker_that_is_away_is_a_connection_error(settings):
    away = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})

    with pytest.raises(KafkaConnectionError):
        await describe_topics(away)
