"""A migrated database and topics of the test's own, with one shard."""

import pytest
import pytest_asyncio

from api.install import install
from engine.settings import Settings
from engine.topics import create_topics
from tests.support.history import HistoryBuilder
from tests.support.restore_points import published_and_restored
from tests.support.topics import TopicNames


@pytest.fixture
def partitions(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", 1))


@pytest_asyncio.fixture
async def settings(
    database_url: str, kafka_bootstrap: str, topic_names: TopicNames, partitions: int
) -> Settings:
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        partitions=partitions,
        session_timeout_ms=3_000,
        snapshot_every_versions=3,
    )
    await install(database_url)
    # as they are created for real: the broker would delete records of a history that is long ago
    await create_topics(settings)
    return settings


@pytest.fixture
def history() -> HistoryBuilder:
    """Five entries of five commands."""
    history = HistoryBuilder().create("wal_a1").wait(1).topup("wal_a1", 500)
    for _ in range(3):
        history.wait(1).debit("wal_a1", 10)
    return history


@pytest_asyncio.fixture
async def behind(settings: Settings, history: HistoryBuilder) -> Settings:
    """A database that was restored to the first two of them, where all were published."""
    await published_and_restored(settings, history, 2)
    return settings
