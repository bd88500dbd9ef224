"""A service of the test's own, as far as a test needs it: settings, database, topics, engine."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from api.install import install
from cli.processes import service_argv
from cli.stack import Stack
from engine.settings import Settings
from engine.topics import create_topics
from tests.support.databases import connection_to
from tests.support.query_api import SECRET_KEYS
from tests.support.topics import TopicNames
from tests.support.wallet_command import environment

PARTITIONS = 4


@pytest.fixture
def settings(database_url: str, kafka_bootstrap: str, topic_names: TopicNames) -> Settings:
    """Of a database and topics that are empty and missing."""
    return Settings(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        partitions=PARTITIONS,
        session_timeout_ms=3_000,
        secret_keys=SECRET_KEYS,
    )


@pytest_asyncio.fixture
async def migrated(settings: Settings) -> Settings:
    await install(settings.database_url)
    return settings


@pytest_asyncio.fixture
async def with_topics(migrated: Settings) -> Settings:
    await create_topics(migrated)
    return migrated


@pytest_asyncio.fixture
async def connection(migrated: Settings) -> AsyncIterator[asyncpg.Connection]:
    async with connection_to(migrated.database_url) as connection:
        yield connection


@pytest_asyncio.fixture
async def running(with_topics: Settings, stack: Stack) -> AsyncIterator[Settings]:
    """With an engine of its own."""
    name = f"engine-{with_topics.group}"
    process = stack.spawn(name, service_argv("engine"), environment(with_topics))
    yield with_topics
    status = await process.stop()
    assert status == 0, process.log_tail()
