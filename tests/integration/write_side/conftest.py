"""A migrated database and topics of the test's own, with one shard per partition."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engine.migrate import migrate
from engine.settings import Settings
from tests.support.engines import Service, service
from tests.support.topics import TopicNames, create_topics


@pytest.fixture
def partitions(request: pytest.FixtureRequest) -> int:
    return int(getattr(request, "param", 1))


@pytest_asyncio.fixture
async def running(
    database_url: str, kafka_bootstrap: str, topic_names: TopicNames, partitions: int
) -> AsyncIterator[Service]:
    settings = Settings(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        session_timeout_ms=3_000,
    )
    await migrate(database_url)
    await create_topics(kafka_bootstrap, topic_names, partitions)
    async with service(settings, partitions) as started:
        yield started
