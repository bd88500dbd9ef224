"""What stops rolling forward: nothing is written, and the message says where and what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from msgspec.structs import replace

from engine.rollforward import LogDamagedError, RollForward, ShardMovedError, ShardPlan
from engine.settings import Settings
from schemas.entries import encode_entry
from tests.support.databases import connection_to
from tests.support.engines import service
from tests.support.history import HistoryBuilder
from tests.support.payloads import create
from tests.support.polling import poll
from tests.support.restore_points import (
    as_published,
    delete_records,
    log_rows,
    publish,
    published_and_restored,
)
from tests.support.wallet_command import run

W = "wal_a1"
_CLAIM_AFTER_EACH_APPEND = """
CREATE FUNCTION claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE shards SET lease = gen_random_uuid() WHERE shard = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER claim AFTER INSERT ON log FOR EACH STATEMENT EXECUTE FUNCTION claim();
"""

_SPOIL_EACH_APPEND = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.data = NEW.data || ' ';
    RETURN NEW;
END $$;
CREATE TRIGGER spoil BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION spoil();
"""


async def change(settings: Settings, *statements: str) -> None:
    async with connection_to(settings.database_url) as connection:
        await connection.execute("ALTER TABLE log DISABLE TRIGGER log_is_append_only")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ALTER TABLE log ENABLE TRIGGER log_is_append_only")


async def shard_row(settings: Settings) -> tuple[object, ...]:
    async with connection_to(settings.database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM shards WHERE shard = 0")
    assert row is not None
    return tuple(row.values())


async def refused(settings: Settings) -> str:
    """What it says; the log and the shard's row are as they were, its lease included."""
    before = (await log_rows(settings.database_url), await shard_row(settings))
    done = await run(settings, "roll-forward", "--yes")
    assert done.status == 1
    assert done.out == ""
    assert (await log_rows(settings.database_url), await shard_row(settings)) == before
    return done.err


async def test_events_that_were_deleted(behind: Settings) -> None:
    await delete_records(behind, behind.events_topic, 3)
    said = await refused(behind)
    assert f"{behind.events_topic}, partition 0 has no entry 2 of shard 0" in said
    assert "it has entry 3 at offset 3" in said
    assert "Restore the database to a later point" in said


async def test_events_of_which_none_is_left(behind: Settings) -> None:
    await delete_records(behind, behind.events_topic, 5)
    said = await refused(behind)
    assert "holds no record any more" in said
    assert "nothing can tell what was published after entry 1" in said


async def test_an_idle_shard_needs_no_events(settings: Settings, history: HistoryBuilder) -> None:
    """It has read all commands, so nothing can have been published since."""
    await behind_by_nothing(settings, history)
    done = await run(settings, "roll-forward", "--yes")
    assert done.status == 0, done.err
    assert "nothing to roll forward" in done.out


async def test_a_shard_with_a_timer_that_was_due_needs_its_events(
    settings: Settings, history: HistoryBuilder
) -> None:
    await behind_by_nothing(settings, history)
    async with connection_to(settings.database_url) as connection:
        await connection.execute("INSERT INTO due VALUES (0, now(), 'wal_a1')")
    assert "holds no record any more" in await refused(settings)


async def behind_by_nothing(settings: Settings, history: HistoryBuilder) -> None:
    await published_and_restored(settings, history, len(history.entries))
    await delete_records(settings, settings.events_topic, 5)


async def test_commands_that_were_deleted(behind: Settings) -> None:
    await delete_records(behind, behind.commands_topic, 4)
    said = await refused(behind)
    assert f"{behind.commands_topic}, partition 0 begins at offset 4" in said
    assert "goes on at 2" in said


async def test_what_was_deleted_before_the_restored_point_is_not_missed(behind: Settings) -> None:
    await delete_records(behind, behind.commands_topic, 2)
    await delete_records(behind, behind.events_topic, 2)
    done = await run(behind, "roll-forward", "--yes")
    assert done.status == 0, done.err


async def test_a_database_that_went_on_by_itself(behind: Settings) -> None:
    other = HistoryBuilder().create(W).wait(1).topup(W, 500).wait(9).debit(W, 9)
    async with connection_to(behind.database_url) as connection:
        await change(behind, "DELETE FROM log")
        await other.write(connection)
    said = await refused(behind)
    assert "offset 2 has another entry for position 2 than the log" in said
    assert "Restore one to a point before 2026-01-01T00:00:10" in said


async def test_an_engine_that_went_on_publishing_what_was_lost(
    behind: Settings, history: HistoryBuilder
) -> None:
    record = as_published(history)[3]
    await publish(behind, [replace(record, data=record.data.replace(b":10,", b":99,"))])
    said = await refused(behind)
    assert "offset 5 has another entry for position 3 than the topic has before" in said


async def test_a_foreign_topic(behind: Settings) -> None:
    async with service(behind, 1) as running:
        await running.producer.send_and_wait(behind.events_topic, b"hello", partition=0)
    assert "offset 5 is no entry of shard 0" in await refused(behind)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM log WHERE position = 0", "none at 0"),
        ("UPDATE log SET data = data || ' ' WHERE position = 0", "another Merkle root"),
        ("UPDATE shards SET tree = sha256(tree)", "another Merkle root"),
        ("UPDATE shards SET tree = ''", "another Merkle root"),
        ("INSERT INTO log SELECT 0, 9, 'w', 9, '', 't', now(), ''", "entries up to 9"),
        ("UPDATE shards SET position = 1, tree = sha256(tree)", "entries up to 1"),
    ],
)
async def test_a_copy_that_is_not_whole(behind: Settings, statement: str, said: str) -> None:
    await change(behind, statement)
    told = await refused(behind)
    assert said in told
    assert "restore it again" in told


async def test_another_commands_topic(behind: Settings) -> None:
    async with connection_to(behind.database_url) as connection:
        await connection.execute("UPDATE shards SET last_record = 'another'")
    assert "not the one that this shard decided" in await refused(behind)


async def test_a_commands_topic_that_is_shorter_than_what_was_decided(
    settings: Settings, history: HistoryBuilder
) -> None:
    await published_and_restored(settings, history, 2, commands=4)
    said = await refused(settings)
    assert f"at offset 4 of {settings.commands_topic} came to, and that topic ends at 4" in said


async def test_a_release_that_is_older_than_the_database(behind: Settings) -> None:
    async with connection_to(behind.database_url) as connection:
        await connection.execute("UPDATE shards SET schema_version = 999")
    assert "written by a newer release: roll forward with that one" in await refused(behind)


async def test_an_engine_at_work(settings: Settings) -> None:
    async with service(settings, 1) as running, running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        done = await run(settings, "roll-forward", "--yes")
    assert done.status == 1
    assert "has 1 members, and 1 sessions" in done.err


async def test_an_engine_that_is_connected_to_no_database(behind: Settings) -> None:
    """One whose shards have all halted, or that still works on the lost database."""
    consumer = AIOKafkaConsumer(
        behind.commands_topic,
        bootstrap_servers=behind.kafka_bootstrap,
        group_id=behind.group,
        enable_auto_commit=False,
    )
    async with consumer:
        await poll(consumer.assignment)
        assert "has 1 members, and 0 sessions" in await refused(behind)


async def test_an_engine_that_is_no_member_any_more_but_still_connected(
    behind: Settings,
) -> None:
    async with connection_to(behind.database_url) as connection:
        await connection.execute("SET application_name = 'wallet-engine append'")
        assert "has 0 members, and 1 sessions" in await refused(behind)


async def test_a_shard_that_there_is_not(behind: Settings) -> None:
    done = await run(behind, "roll-forward", "--yes", "--shard", "7")
    assert (done.status, done.out) == (1, "")
    assert "no shard 7" in done.err


CHANGES = [
    (b'"balance_before":490', b'"balance_before":489', "can't follow"),
    (b'"version":4,', b'"version":5,', "is version 5 of its wallet"),
]


@pytest.mark.parametrize(("said_in_log", "forged", "said"), CHANGES)
async def test_an_entry_that_does_not_follow_from_the_wallets_state(
    settings: Settings, history: HistoryBuilder, said_in_log: bytes, forged: bytes, said: str
) -> None:
    """By itself it is as an engine makes it."""
    records = as_published(history)
    assert said_in_log in records[3].data
    records[3] = replace(records[3], data=records[3].data.replace(said_in_log, forged))
    await published_and_restored(settings, history, 2, records)
    told = await refused_under_way(settings)
    assert f"Entry 3 of shard 0 on the events topic {said}" in told


async def test_a_refusal_that_was_decided_on_another_state(settings: Settings) -> None:
    history = HistoryBuilder().create(W).wait(1).topup(W, 500).debit(W, 9_000)
    records = as_published(history)
    data = records[2].data.replace(b'"wallet_version":2', b'"wallet_version":1')
    records[2] = replace(records[2], data=data)
    await published_and_restored(settings, history, 2, records)
    assert "names version 1 of its wallet" in await refused_under_way(settings)


async def test_an_outcome_that_the_log_has_elsewhere(
    behind: Settings, history: HistoryBuilder
) -> None:
    await change(
        behind,
        "ALTER TABLE log DROP CONSTRAINT log_version_once",
        f"UPDATE log SET command_id = '\\x{history.entries[2].command_id}' WHERE position = 1",
    )
    assert "stands in the log already" in await refused_under_way(behind)


async def refused_under_way(settings: Settings) -> str:
    before = await log_rows(settings.database_url)
    done = await run(settings, "roll-forward", "--yes")
    assert done.status == 1
    assert await log_rows(settings.database_url) == before
    return done.err


@asynccontextmanager
async def examined(settings: Settings) -> AsyncIterator[tuple[RollForward, list[ShardPlan]]]:
    async with RollForward.connect(settings) as service:
        yield service, await service.examine(None, lambda *_: None)


async def test_a_shard_that_moved_since_it_was_examined(behind: Settings) -> None:
    async with examined(behind) as (service, (plan,)):
        async with connection_to(behind.database_url) as connection:
            await connection.execute("UPDATE shards SET next_offset = 3")
        before = await log_rows(behind.database_url)
        with pytest.raises(ShardMovedError, match="since it was examined"):
            await service.roll_forward(plan, lambda *_: None)
    assert await log_rows(behind.database_url) == before


async def test_a_shard_that_is_claimed_under_way(
    behind: Settings, history: HistoryBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.rollforward.topic_reader._PAGE_RECORDS", 1)
    async with connection_to(behind.database_url) as connection:
        async with examined(behind) as (service, (plan,)):
            await connection.execute(_CLAIM_AFTER_EACH_APPEND)
            with pytest.raises(ShardMovedError, match="claimed by an engine while"):
                await service.roll_forward(plan, lambda *_: None)
        await connection.execute("DROP TRIGGER claim ON log")
    assert len(await log_rows(behind.database_url)) == 3
    # what was appended is whole, and it goes on from there
    done = await run(behind, "roll-forward", "--yes", "--json")
    assert done.document["entries"] == 2
    assert [row[-1] for row in await log_rows(behind.database_url)] == [
        encode_entry(entry) for entry in history.entries
    ]


async def test_what_was_written_is_read_back(behind: Settings) -> None:
    async with connection_to(behind.database_url) as connection:
        await connection.execute(_SPOIL_EACH_APPEND)
    async with examined(behind) as (service, (plan,)):
        with pytest.raises(LogDamagedError, match="does not come to the Merkle root"):
            await service.roll_forward(plan, lambda *_: None)


async def test_the_topic_that_changed_since_it_was_examined(behind: Settings) -> None:
    async with examined(behind) as (service, (plan,)):
        other = replace(plan, marks=bytes(len(plan.marks)))
        with pytest.raises(ShardMovedError, match="has other entries from position 2 on"):
            await service.roll_forward(other, lambda *_: None)
    assert len(await log_rows(behind.database_url)) == 2
