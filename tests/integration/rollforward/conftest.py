"""A migrated database and topics of the test's own, with one shard."""

import pytest
import pytest_asyncio

from api.install import install
from engine.settings import Settings
from tests.support.history import HistoryBuilder
from tests.support.restore_points import published_and_restored
from tests.support.topics import TopicNames, create_topics


@pytest.fixture
def partitions(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", 1))


@pytest_asyncio.fixture
async def settings(
    database_url: str, kafka_bootstrap: str, topic_names: TopicNames, partitions: int
) -> Settings:
    await install(database_url)
    await create_topics(kafka_bootstrap, topic_names, partitions)
    return Settings(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        partitions=partitions,
        session_timeout_ms=3_000,
        snapshot_every_versions=3,
    )


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
