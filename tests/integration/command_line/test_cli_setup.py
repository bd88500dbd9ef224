"""`wallet migrate` and `wallet rebuild`."""

from engine.topics import describe_topics
from tests.support.history import HistoryBuilder
from tests.support.wallet_command import finish, run, start


async def test_migrate_does_what_is_to_be_done_once(settings):
    first = await run(settings, "migrate", "--json")
    second = await run(settings, "migrate", "--json")
    readable = await run(settings, "migrate")

    assert first.status == 0, first.err
    assert "engine/0001_log.sql" in first.document["database"]
    assert first.document["topics"] == []
    assert second.document == {"database": [], "topics": []}
    assert "up to date" in readable.out


async def test_migrate_can_run_in_many_places_at_once(settings):
    started = [await start(settings, "migrate", "--topics", "--json") for _ in range(3)]
    done = [await finish(process) for process in started]

    assert [each.status for each in done] == [0, 0, 0], [each.err for each in done]
    applied = [name for each in done for name in each.document["database"]]
    assert len(applied) == len(set(applied))
    assert "engine/0001_log.sql" in applied
    topics = await describe_topics(settings)
    assert {topic.partitions for topic in topics.values()} == {settings.partitions}


async def test_migrate_creates_no_topics_unasked(settings):
    await run(settings, "migrate")

    assert await describe_topics(settings) == {}


async def test_rebuild_switches_to_a_compared_generation(migrated, connection):
    await HistoryBuilder(0).create("wal_a").topup("wal_a", 5).write(connection)

    one = await run(migrated, "rebuild", "wallets", "--json")
    two = await run(migrated, "rebuild", "postings", "lots")
    every = await run(migrated, "rebuild")

    assert one.status == 0, one.err
    assert (one.document["name"], one.document["generation"]) == ("wallets", 2)
    assert one.document["entries"] == 2
    assert two.status == 0, two.err
    assert [line.split(":")[0] for line in two.out.splitlines()] == ["postings", "lots"]
    assert every.status == 0, every.err
    assert [line.split(":")[0] for line in every.out.splitlines()] == [
        "wallets",
        "transactions",
        "lots",
        "postings",
    ]
    assert await connection.fetchval("SELECT balance FROM wallets") == 5


async def test_rebuild_of_an_unknown_model_is_one_line(migrated):
    done = await run(migrated, "rebuild", "walets")

    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "walets" in done.err
