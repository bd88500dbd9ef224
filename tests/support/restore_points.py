"""Databases as they stood at a moment, and what there is to be restored from them.

PostgreSQL copies a database at rest file by file, so a copy is what a recovery to the end of a
transaction gives, at the price of nobody being connected.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from engine.events_topic import EventRecord, event_record, whole_commands
from engine.log import StoredEntry
from engine.producing import ShardProducer
from engine.settings import Settings
from schemas.entries import encode_entry
from schemas.events import TAGS
from tests.support.databases import connection_to, fresh_database
from tests.support.engines import service
from tests.support.history import HistoryBuilder
from tests.support.payloads import topup
from tests.support.polling import poll_async

_BATCH_BYTES_MAX = 850 * 1024
_NOBODY_CONNECTED = """
SELECT NOT EXISTS (
    SELECT FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
       AND backend_type = 'client backend'
)
"""


@asynccontextmanager
async def copied(url: str) -> AsyncIterator[str]:
    """The URL of a copy of the database as it is now; dropped at the end."""
    async with fresh_database(_server(url)) as copy:
        source, name = url.rpartition("/")[2], copy.rpartition("/")[2]
        async with connection_to(_server(url)) as connection:
            await connection.execute(f"DROP DATABASE {name}")
            await poll_async(lambda: _try_copy(connection, source, name))
        yield copy


def _server(url: str) -> str:
    return url.rpartition("/")[0] + "/wallet"


async def _try_copy(connection: asyncpg.Connection, source: str, name: str) -> bool:
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    except asyncpg.ObjectInUseError:  # a session that is ending
        return False
    return True


async def log_rows(url: str, stop: int | None = None) -> list[tuple[object, ...]]:
    """All columns of the log, below a position if one is given."""
    async with connection_to(url) as connection:
        rows = await connection.fetch(
            "SELECT * FROM log WHERE $1::bigint IS NULL OR position < $1 ORDER BY shard, position",
            stop,
        )
    return [tuple(row.values()) for row in rows]


async def decide(settings: Settings, *commands: bytes, wallet_id: str) -> list[tuple[int, int]]:
    """Send the commands of a wallet and have them decided and published; where they went.

    Nobody is connected to the database afterwards.
    """
    async with service(settings, settings.partitions) as running:
        async with running.engine():
            sent = await running.send_commands(*commands, wallet_id=wallet_id)
            await running.decided()
            await running.until("SELECT bool_and(published = position) FROM shards")
        await nobody_connected(running.database)
    return sent


async def nobody_connected(connection: asyncpg.Connection) -> None:
    """Wait until no other session is left in the connection's database."""
    await poll_async(lambda: connection.fetchval(_NOBODY_CONNECTED))


@asynccontextmanager
async def published_up_to(settings: Settings, url: str, stop: int) -> AsyncIterator[Settings]:
    """The settings of a world in which shard 0 of a log was published up to `stop`, and no more.

    `url` is the database whose log it is; that of `settings` is told of the new events topic.
    """
    topic = f"t{uuid.uuid4().hex[:12]}.wallet.events"
    world = settings.model_copy(update={"events_topic": topic})
    async with administration(settings) as admin:
        await admin.create_topics([NewTopic(topic, settings.partitions, 1)])
        await publish(world, [record for record in await read_log(url) if record.position < stop])
        async with connection_to(settings.database_url) as connection:
            await connection.execute("UPDATE topology SET events_topic = $1", topic)
        yield world
        await admin.delete_topics([topic])


async def read_log(url: str) -> list[EventRecord]:
    """Shard 0 of a log, as it is published."""
    async with connection_to(url) as connection:
        rows = await connection.fetch(
            "SELECT position, wallet_id, type, occurred_at, data FROM log"
            " WHERE shard = 0 ORDER BY position"
        )
    return [event_record(StoredEntry(*row)) for row in rows]


def as_published(history: HistoryBuilder) -> list[EventRecord]:
    """The entries of a history as they are published."""
    return [
        EventRecord(
            entry.position,
            entry.wallet_id,
            TAGS[type(entry.event)],
            entry.occurred_at,
            encode_entry(entry),
            entry.last,
        )
        for entry in history.entries
    ]


async def published_and_restored(
    settings: Settings,
    history: HistoryBuilder,
    restored: int,
    records: Sequence[EventRecord] | None = None,
    *,
    commands: int = 5,
) -> None:
    """A log that was restored to its first entries, where all of them were published.

    `records` are what was published, if that is not the history. What stands in the commands
    nobody asks who only rolls forward.
    """
    wallet_id = history.entries[0].wallet_id
    async with service(settings, 1) as running:
        sent = [topup(wallet_id, f"sent{number}", 1) for number in range(commands)]
        await running.send_commands(*sent, wallet_id=wallet_id)
    await publish(settings, as_published(history) if records is None else records)
    if restored:
        async with connection_to(settings.database_url) as connection:
            await history.write(connection, restored)


async def publish(settings: Settings, records: Sequence[EventRecord]) -> None:
    """Publish entries of shard 0 as an engine does, as many as are whole commands."""
    groups = whole_commands(records, _BATCH_BYTES_MAX)
    if not groups:
        return
    producer = await ShardProducer.connect(settings, 0)
    try:
        for group in groups:
            await producer.publish(group)
    finally:
        await producer.close()


async def delete_records(settings: Settings, topic: str, before: int) -> None:
    """Delete what partition 0 of a topic has before an offset, as retention does."""
    async with administration(settings) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before)})


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
