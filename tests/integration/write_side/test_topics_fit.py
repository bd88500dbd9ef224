"""Topics and database that do not belong together stop the shard, and the message says how to go on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from engine.errors import PartitionsChangedError, SetupError
from engine.fit import register_topology
from engine.topics import describe_topics
from tests.support.engines import Service
from tests.support.payloads import create, topup
from tests.support.polling import poll, poll_async

W = "wal_a1"


@asynccontextmanager
async def administration(running: Service) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=running.settings.kafka_bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def decide_five(running: Service) -> None:
    commands = [create(W), *(topup(W, f"t{number}", 5) for number in range(4))]
    async with running.engine():
        await running.send_commands(*commands, wallet_id=W)
        await running.decided()


async def delete_commands(running: Service, before: int) -> None:
    place = TopicPartition(running.settings.commands_topic, 0)
    async with administration(running) as admin:
        await admin.delete_records({place: RecordsToDelete(before)})


async def recreate(running: Service, topic: str, partitions: int = 1) -> None:
    async with administration(running) as admin:
        await admin.delete_topics([topic])

        async def is_created() -> bool:
            response = await admin.create_topics([NewTopic(topic, partitions, 1)])
            return response.topic_errors[0][1] == 0

        async def is_there() -> bool:
            return topic in await describe_topics(running.settings)

        await poll_async(is_created)
        await poll_async(is_there)


async def assert_halts(running: Service, code: str) -> str:
    before = await running.shard()
    async with running.engine():
        await running.until("SELECT halted IS NOT NULL FROM shards WHERE shard = 0")
    after = await running.shard()
    assert (after["next_offset"], after["position"]) == (
        before["next_offset"],
        before["position"],
    )
    halted = str(after["halted"])
    assert halted.startswith(f"{code}: ")
    return halted


async def test_commands_deleted_before_they_were_decided(running: Service) -> None:
    await decide_five(running)
    await running.send_commands(*(topup(W, f"u{n}", 5) for n in range(5)), wallet_id=W)
    await delete_commands(running, 8)
    halted = await assert_halts(running, "commands_deleted")
    assert "begins at offset 8" in halted
    assert "goes on at 5" in halted


async def test_deleting_what_was_decided_does_no_harm(running: Service) -> None:
    await decide_five(running)
    await delete_commands(running, 5)
    async with running.engine():
        await running.send_commands(topup(W, "u", 5), wallet_id=W)
        await running.decided()
    assert len(await running.entries()) == 6


async def test_a_topic_created_anew_and_empty(running: Service) -> None:
    await decide_five(running)
    await recreate(running, running.settings.commands_topic)
    await assert_halts(running, "commands_topic_replaced")


@pytest.mark.parametrize("same_commands", [False, True])
async def test_a_topic_created_anew_and_filled_past_the_shard(
    running: Service, same_commands: bool
) -> None:
    await decide_five(running)
    await recreate(running, running.settings.commands_topic)
    commands = [create(W), *(topup(W, f"t{number}", 5) for number in range(9))]
    await running.send_commands(*(commands if same_commands else reversed(commands)), wallet_id=W)
    await assert_halts(running, "commands_topic_replaced")


async def test_commands_deleted_under_a_running_engine(running: Service) -> None:
    """Its consumer jumps to where the partition begins now, and says nothing."""
    await decide_five(running)
    async with running.engine() as engine:
        await poll(
            lambda: 0 in engine.assignment._owners and engine.assignment._owners[0].committed
        )
        engine.assignment._owners[0]._membership.pause()
        await running.send_commands(*(topup(W, f"u{n}", 5) for n in range(5)), wallet_id=W)
        await delete_commands(running, 8)
        engine.assignment._owners[0]._membership.seek(5)
        engine.assignment._owners[0]._membership.resume()
        await running.until("SELECT halted LIKE 'commands_deleted%' FROM shards WHERE shard = 0")
    assert len(await running.entries()) == 5


async def test_more_partitions_under_a_running_engine(running: Service) -> None:
    await decide_five(running)
    async with running.engine() as engine:
        await poll(
            lambda: 0 in engine.assignment._owners and engine.assignment._owners[0].committed
        )
        async with administration(running) as admin:
            await admin.create_partitions({running.settings.commands_topic: NewPartitions(3)})
        consumer = engine._subscriber.consumer
        assert consumer is not None

        async def seen() -> bool:
            await consumer._client.force_metadata_update()
            found = consumer.partitions_for_topic(running.settings.commands_topic)
            return found is not None and len(found) == 3

        await poll_async(seen)
        await running.until("SELECT halted LIKE 'partitions_changed%' FROM shards WHERE shard = 0")


Change = Callable[[Service, AIOKafkaAdminClient], Awaitable[Any]]


async def _compact(running: Service, admin: AIOKafkaAdminClient) -> None:
    resource = ConfigResource(
        ConfigResourceType.TOPIC,
        running.settings.commands_topic,
        configs={"cleanup.policy": "compact"},
    )
    await admin.alter_configs([resource])


async def _more_partitions(running: Service, admin: AIOKafkaAdminClient) -> None:
    for topic in (
        running.settings.commands_topic,
        running.settings.events_topic,
        running.settings.dead_letters_topic,
    ):
        await admin.create_partitions({topic: NewPartitions(3)})
    # the broker answers before it tells everybody
    await poll_async(lambda: _all_have(running, 3))


async def _all_have(running: Service, partitions: int) -> bool:
    topics = await describe_topics(running.settings)
    return {topic.partitions for topic in topics.values()} == {partitions}


async def _more_event_partitions(running: Service, admin: AIOKafkaAdminClient) -> None:
    await admin.create_partitions({running.settings.events_topic: NewPartitions(3)})


async def _no_events(running: Service, admin: AIOKafkaAdminClient) -> None:
    await admin.delete_topics([running.settings.events_topic])


async def refusal(running: Service) -> SetupError | None:
    try:
        await register_topology(running.settings)
    except SetupError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_compact, "cleanup.policy to delete"),
        (_more_partitions, "has 3 partitions, but this database was started with 1"),
        (_more_event_partitions, "all three topics need as many"),
        (_no_events, "wallet migrate --topics"),
    ],
)
async def test_an_engine_does_not_start_on_topics_that_do_not_fit(
    running: Service, change: Change, message: str
) -> None:
    await register_topology(running.settings)
    async with administration(running) as admin:
        await change(running, admin)
    refused: list[Exception] = []

    async def is_refused() -> bool:
        """The cluster tells of a change some moments later."""
        if (error := await refusal(running)) is not None:
            refused.append(error)
        return bool(refused)

    await poll_async(is_refused)
    assert message in str(refused[0])
    assert isinstance(refused[0], PartitionsChangedError) is (change is _more_partitions)
    assert await running.database.fetchval("SELECT count(*) FROM shards") == 1


async def test_topics_with_few_replicas_are_told_of_in_one_line(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await register_topology(running.settings)
    (told,) = [m for m in caplog.messages if m.startswith("few_replicas")]
    settings = running.settings
    for topic in (settings.commands_topic, settings.events_topic, settings.dead_letters_topic):
        assert f"{topic} in_sync=1 min.insync.replicas=1" in told


async def test_a_database_that_belongs_to_other_topics(running: Service) -> None:
    await register_topology(running.settings)
    await running.database.execute("UPDATE topology SET commands_topic = 'another'")
    with pytest.raises(SetupError, match="belongs to the topics another"):
        await register_topology(running.settings)


async def _lose_history(running: Service, change: str) -> None:
    await running.database.execute(
        f"ALTER TABLE log DISABLE TRIGGER log_is_append_only; {change};"
        " ALTER TABLE log ENABLE TRIGGER log_is_append_only"
    )


async def test_a_restored_database_that_lacks_published_entries(running: Service) -> None:
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        await running.until("SELECT published = 1 FROM shards WHERE shard = 0")
    backup = await running.shard()
    async with running.engine():
        await running.send_commands(topup(W, "t", 5), wallet_id=W)
        await running.decided()
        await running.until("SELECT published = 2 FROM shards WHERE shard = 0")
    await _lose_history(running, "DELETE FROM log WHERE position = 1")
    await running.database.execute(
        "UPDATE shards SET next_offset = $1, position = $2, published = $3, tree = $4,"
        " last_record = $5, last_at = $6",
        *(backup[name] for name in ("next_offset", "position", "published", "tree")),
        backup["last_record"],
        backup["last_at"],
    )
    halted = await assert_halts(running, "database_lost_history")
    assert "`wallet roll-forward`" in halted


async def test_a_failover_that_decided_other_things(running: Service) -> None:
    await decide_five(running)
    await _lose_history(running, "UPDATE log SET data = data || ' ' WHERE position = 4")
    await assert_halts(running, "database_lost_history")


async def test_somebody_else_writes_to_the_events_topic(running: Service) -> None:
    await decide_five(running)
    await running.producer.send_and_wait(running.settings.events_topic, b"hello", partition=0)
    await assert_halts(running, "events_topic_foreign")


async def test_an_emptied_events_topic_is_filled_again_from_where_it_was(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    await decide_five(running)
    await recreate(running, running.settings.events_topic)
    async with running.engine():
        await running.send_commands(topup(W, "u", 5), wallet_id=W)
        await running.decided()
        await running.until("SELECT published = 6 FROM shards WHERE shard = 0")
    assert "events_topic_empty" in caplog.text
    assert len((await running.published())[0]) == 1
