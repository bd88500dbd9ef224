"""The real Kafka and PostgreSQL, started once, and a database and topics for each test."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cli.stack import Stack
from tests.support.databases import fresh_database
from tests.support.topics import TopicNames, delete_topics

_WITHOUT_STACK = ("unit", "property", "simulation", "fuzz")

# a shell has what runs in the background ignore it, and so would all that is started and interrupted here
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# no load balancer is there to notice, unless a test says so
os.environ["WALLET_API_DRAIN_MS"] = "0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Hold these to needing neither Kafka nor PostgreSQL."""
    root = Path(__file__).parent
    for item in items:
        kind = item.path.relative_to(root).parts[0]
        if kind in _WITHOUT_STACK and "stack" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is a {kind} test and must not use the stack")


@pytest_asyncio.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    with (
        tempfile.TemporaryDirectory(prefix="wallet-tests-") as directory,
        pytest.MonkeyPatch.context() as environment,
    ):
        # or each of the tests' databases would leave a file behind
        environment.setenv("WALLET_RATE_LIMITS_FILE", f"{directory}/rate-limits")
        async with Stack(Path(directory)) as running:
            yield running


@pytest.fixture
def kafka_bootstrap(stack: Stack) -> str:
    return stack.kafka_bootstrap


@pytest_asyncio.fixture
async def database_url(stack: Stack) -> AsyncIterator[str]:
    """An empty database, this test's own."""
    async with fresh_database(stack.database_url) as url:
        yield url


@pytest_asyncio.fixture
async def topic_names(kafka_bootstrap: str) -> AsyncIterator[TopicNames]:
    """Names of topics and of a consumer group, this test's own; the topics don't exist yet."""
    names = TopicNames.unique()
    yield names
    await delete_topics(kafka_bootstrap, names)
