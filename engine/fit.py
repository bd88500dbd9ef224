"""Whether the topics and the database belong together; never skipped silently."""

import logging
from collections.abc import Mapping

import asyncpg

from engine.errors import PartitionsChangedError, SetupError, ShardHaltedError
from engine.events_topic import published_place
from engine.inspection import TopicInspector
from engine.intake import Record, record_digest
from engine.log import ShardLog, ShardRow
from engine.placement import commands_deleted
from engine.settings import Settings
from engine.topics import RECORD_BYTES_MAX, TopicDescription, describe_topics

logger = logging.getLogger(__name__)

_REGISTER = """
INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ($1, $2, $3)
ON CONFLICT (only_row) DO NOTHING
"""
_ADD_SHARDS = """
INSERT INTO shards (shard) SELECT generate_series(0, $1::integer - 1) ON CONFLICT DO NOTHING
"""


async def register_topology(settings: Settings) -> int:
    """Check the topics, and compare them with what the first engine found; the partition count.

    Raises SetupError with what to do if they do not fit the database or the engine.
    """
    topics = await describe_topics(settings)
    partitions = _check_topics(settings, topics)
    connection = await asyncpg.connect(
        settings.database_url, timeout=settings.database_timeout_ms / 1000
    )
    try:
        await connection.execute(
            _REGISTER, settings.commands_topic, settings.events_topic, partitions
        )
        _check_topology(settings, partitions, await connection.fetchrow("SELECT * FROM topology"))
        await connection.execute(_ADD_SHARDS, partitions)
    except asyncpg.UndefinedTableError:
        raise SetupError("The database has no tables yet: run `wallet migrate` first.") from None
    finally:
        await connection.close()
    return partitions


def _check_topology(settings: Settings, partitions: int, row: asyncpg.Record | None) -> None:
    if row is None or (row["commands_topic"], row["events_topic"]) != (
        settings.commands_topic,
        settings.events_topic,
    ):
        raise SetupError(
            "This database belongs to the topics"
            f" {row and row['commands_topic']} and {row and row['events_topic']}, not to"
            f" {settings.commands_topic} and {settings.events_topic}: check WALLET_DATABASE_URL,"
            " WALLET_COMMANDS_TOPIC and WALLET_EVENTS_TOPIC."
        )
    check_partitions(settings, partitions, row["partitions"])


def check_partitions(settings: Settings, found: int, recorded: int) -> None:
    """Raise PartitionsChangedError: wallets would be at home in other partitions."""
    if found != recorded:
        raise PartitionsChangedError(
            f"{settings.commands_topic} has {found} partitions, but this database was started"
            f" with {recorded}. The count cannot change, because each wallet lives in the shard"
            " that it was hashed to: create the topic anew with the old count, or start with a"
            " new database and topics."
        )


def _check_topics(settings: Settings, topics: dict[str, TopicDescription]) -> int:
    names = (settings.commands_topic, settings.events_topic, settings.dead_letters_topic)
    if missing := [name for name in names if name not in topics]:
        raise SetupError(
            f"Kafka has no topic {', '.join(missing)}: create with `wallet migrate --topics`,"
            " or check WALLET_KAFKA_BOOTSTRAP and the topic settings."
        )
    commands = topics[settings.commands_topic]
    for name in names:
        topic = topics[name]
        if topic.partitions != commands.partitions:
            raise SetupError(
                f"{name} has {topic.partitions} partitions and {settings.commands_topic} has"
                f" {commands.partitions}: all three topics need as many."
            )
        if topic.max_message_bytes < RECORD_BYTES_MAX:
            raise SetupError(
                f"{name} takes records of at most {topic.max_message_bytes} bytes: set its"
                f" max.message.bytes to {RECORD_BYTES_MAX} or more."
            )
    if "compact" in commands.cleanup_policies:
        raise SetupError(
            f"{settings.commands_topic} is compacted, which deletes commands: set its"
            " cleanup.policy to delete."
        )
    _warn_of_few_replicas({name: topics[name] for name in names})
    return commands.partitions


def _warn_of_few_replicas(topics: Mapping[str, TopicDescription]) -> None:
    few = [
        f"{name} in_sync={topic.in_sync_replicas} min.insync.replicas={topic.min_in_sync_replicas}"
        for name, topic in topics.items()
        if topic.in_sync_replicas < 2 or topic.min_in_sync_replicas < 2
    ]
    if few:
        logger.warning(
            "few_replicas %s: acks=all waits for no second copy, so the loss of one broker's disk"
            " can lose acknowledged records",
            "; ".join(few),
        )


async def check_shard(
    settings: Settings, inspector: TopicInspector, log: ShardLog, row: ShardRow
) -> None:
    """Raise ShardHaltedError if the shard's partitions are not the ones its row was written with."""
    await check_commands(settings, inspector, row)
    await _check_events(settings, inspector, log, row)


async def check_commands(settings: Settings, inspector: TopicInspector, row: ShardRow) -> None:
    """Raise ShardHaltedError if the commands' partition is not the one that the shard has read."""
    topic, partition = settings.commands_topic, row.shard
    begin, end = await inspector.ends(topic, partition)
    if end < row.next_offset:
        raise ShardHaltedError(
            "commands_topic_replaced",
            f"{topic}, partition {partition} ends at offset {end}, but this shard goes on at"
            f" {row.next_offset}: the topic has been truncated or created anew. Restore the topic,"
            " or start with a new database.",
        )
    if begin > row.next_offset:
        raise commands_deleted(partition, row.next_offset, begin)
    if row.last_record is None or begin == row.next_offset:
        return
    record = await inspector.record_at(topic, partition, row.next_offset - 1)
    if record is None or record_digest(record) != row.last_record:
        raise ShardHaltedError(
            "commands_topic_replaced",
            f"The record at offset {row.next_offset - 1} of {topic}, partition {partition} is not"
            " the one that this shard decided: the topic has been created anew and filled again,"
            " or WALLET_KAFKA_BOOTSTRAP names another cluster. Restore the topic, or start with a"
            " new database.",
        )


async def _check_events(
    settings: Settings, inspector: TopicInspector, log: ShardLog, row: ShardRow
) -> None:
    topic = settings.events_topic
    record = await inspector.last_record(topic, row.shard)
    if record is None:
        if row.published:
            logger.warning(
                "events_topic_empty shard=%d: %d entries were published, none is there now;"
                " new consumers have to read the log",
                row.shard,
                row.published,
            )
        return
    place = published_place(record.value)
    if place is None:
        raise ShardHaltedError(
            "events_topic_foreign",
            f"The last record of {topic}, partition {row.shard} is no log entry: somebody else"
            " writes to this topic. Give the engine a topic of its own.",
        )
    stored = await log.read_entries(place.position, place.position + 1, 1)
    if place.shard != row.shard or not stored or stored[0].data != record.value:
        raise _lost_history(topic, row, place.position)
    # a repeat may have landed after what the log lacks
    ahead = await inspector.find_since(
        topic, row.shard, row.last_at, lambda each: _is_ahead(each, row)
    )
    if ahead is not None and (place := published_place(ahead.value)) is not None:
        raise _lost_history(topic, row, place.position)


def _is_ahead(record: Record, row: ShardRow) -> bool:
    place = published_place(record.value)
    return place is not None and place.shard == row.shard and place.position >= row.position


def _lost_history(topic: str, row: ShardRow, position: int) -> ShardHaltedError:
    return ShardHaltedError(
        "database_lost_history",
        f"{topic} has entry {position} of shard {row.shard}, and the log, which has"
        f" {row.position} entries, does not have it or has another one: the database has lost"
        " history (a restore, or a failover to a standby that was behind). Stop all engines,"
        " and run `wallet roll-forward`, which appends what was published to the log again.",
    )
