"""After a restore, what was published keeps its outcome, its time and its position."""


import pytest_asyncio

from api.install import install
from engine.settings import Settings
from projections.verification import verify
from tests.support.engines import service
from tests.support.payloads import create, debit, topup
from tests.support.restore_points import copied, log_rows
from tests.support.topics import TopicNames, create_topics
from tests.support.wallet_command import run

W = "wal_a1"


@pytest_asyncio.fixture
async def settings(database_url: str, kafka_bootstrap: str, topic_names: TopicNames) -> Settings:
    await install(database_url)
    await create_topics(kafka_bootstrap, topic_names, 1)
    return Settings(
        database_url=database_url,
        kafka_bootstrap=kafka_bootstrap,
        **topic_names.settings,
        session_timeout_ms=3_000,
    )


async def decide(settings: Settings, *commands: bytes) -> None:
    """Send the commands and have them decided and published; nobody is connected afterwards."""
    async with service(settings, 1) as running, running.engine():
        await running.send_commands(*commands, wallet_id=W)
        await running.decided()
        await running.until("SELECT bool_and(published = position) FROM shards")


async def test_what_was_published_is_in_the_log_again_byte_for_byte(settings: Settings) -> None:
    await decide(settings, create(W), topup(W, "t1", 500), debit(W, "d1", 20))
    async with copied(settings.database_url) as restored_url:
        await decide(settings, debit(W, "d2", 30), debit(W, "d3", 9_000), topup(W, "t2", 9_000))
        lost = await log_rows(settings.database_url)
        assert len(lost) == 6
        restored = settings.model_copy(update={"database_url": restored_url})

        done = await run(restored, "roll-forward", "--yes", "--json")

        assert done.status == 0, done.err
        assert done.document["entries"] == 3
        assert await log_rows(restored_url) == lost
        await decide(restored, debit(W, "d4", 1))
        assert (await log_rows(restored_url))[:6] == lost
        proof = await verify(restored)
        assert proof.passed, proof
