"""Who waits for whom at a shard's row, and what each finds when it is free."""

import asyncio

import asyncpg
import pytest

from engine import log as engine_log
from engine.errors import LeaseLostError
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.locking import transaction, until_waiting
from tests.conformance.log.writing import Writer
from tests.support.payloads import create
from tests.support.polling import poll

_BROKEN = (
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    OSError,
    # what asyncpg raises when the server has had the last word, and it has not been read yet
    asyncpg.InternalClientError,
)


async def test_nobody_sees_an_append_before_its_commit(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        batch = writer.decide(create("wal_1"))
        async with transaction(log):
            await log.append(batch.append)
            assert await other.find_outcomes(batch.append.command_ids) == {}
            assert await other.read_entries(0, 9, 9) == []
            assert (await other.load_wallets(["wal_1"]))["wal_1"].wallet is None
            assert (await database.contents()).shard["position"] == 0
        assert len(await other.find_outcomes(batch.append.command_ids)) == 1
        assert (await database.contents()).shard["position"] == 1


async def test_a_claim_waits_for_an_append_and_goes_on_from_it(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        async with transaction(log):
            await writer.append(create("wal_1"))
            claiming = asyncio.create_task(other.claim("b"))
            await until_waiting(database)
            assert not claiming.done()
        row = await claiming
        assert (row.position, row.next_offset, row.epoch) == (1, 1, 2)


async def test_an_append_that_waited_for_a_claim_is_fenced(database: LogDatabase) -> None:
    async with shard_log(database) as zombies, shard_log(database) as owners:
        zombie = await Writer.claiming(zombies)
        late = zombie.decide(create("wal_1"))
        async with transaction(owners):
            await owners.claim("owner")
            appending = asyncio.create_task(zombies.append(late.append))
            await until_waiting(database)
        with pytest.raises(LeaseLostError):
            await appending
    assert (await database.contents()).log == []


async def test_an_append_that_waited_for_a_claim_that_came_to_nothing(
    database: LogDatabase,
) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await other._append.execute("BEGIN")
        await other.claim("b")
        appending = asyncio.create_task(writer.append(create("wal_1")))
        await until_waiting(database)
        await other._append.execute("ROLLBACK")
        await appending
    contents = await database.contents()
    assert (contents.shard["owner"], len(contents.log)) == ("a", 1)


async def test_a_zombie_does_not_wait_for_the_owner(database: LogDatabase) -> None:
    """What is committed tells already that it is fenced, whoever holds the row."""
    async with shard_log(database) as zombies, shard_log(database) as owners:
        zombie = await Writer.claiming(zombies)
        owner = await Writer.claiming(owners)
        async with transaction(owners):
            await owner.append(create("wal_1"))
            with pytest.raises(LeaseLostError):
                await zombies.append(zombie.decide(create("wal_2")).append)
    assert [row[1] for row in (await database.contents()).log] == ["wal_1"]


async def test_two_who_claim_at_once_come_one_after_the_other(database: LogDatabase) -> None:
    async with shard_log(database) as first, shard_log(database) as second:
        async with transaction(first):
            await first.claim("a")
            claiming = asyncio.create_task(second.claim("b"))
            await until_waiting(database)
        row = await claiming
        assert row.epoch == 2
        with pytest.raises(LeaseLostError):
            await first.append(Writer(first, row).decide(create("wal_1")).append)


async def test_shards_do_not_wait_for_each_other(database: LogDatabase) -> None:
    async with shard_log(database, 0) as log, shard_log(database, 1) as other:
        writer = await Writer.claiming(log)
        async with transaction(log):
            await writer.append(create("wal_1"))
            await (await Writer.claiming(other)).append(create("wal_1"))


async def test_reading_does_not_wait(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        async with transaction(log):
            await writer.append(create("wal_2"))
            assert len(await other.read_entries(0, 9, 9)) == 1


async def test_a_stalled_transaction_lets_go_of_the_row(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may be stopped for good, and no other time-out sees it."""
    monkeypatch.setitem(engine_log._APPEND_SESSION, "transaction_timeout", "1500ms")
    async with shard_log(database) as stalled:
        monkeypatch.setitem(engine_log._APPEND_SESSION, "transaction_timeout", "10s")
        async with shard_log(database) as owner:
            writer = await Writer.claiming(stalled)
            await stalled._append.execute("BEGIN")
            await writer.append(create("wal_1"))
            row = await owner.claim("owner")
            assert (row.position, row.epoch) == (0, 2)
            with pytest.raises(_BROKEN):
                await stalled._append.execute("COMMIT")
            await poll(stalled._append.is_closed)
    assert (await database.contents()).log == []


async def test_waiting_for_a_row_counts_into_the_transactions_time(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine_log._APPEND_SESSION, "transaction_timeout", "1500ms")
    async with shard_log(database) as impatient:
        monkeypatch.setitem(engine_log._APPEND_SESSION, "transaction_timeout", "10s")
        async with shard_log(database) as other:
            writer = await Writer.claiming(impatient)
            await other._append.execute("BEGIN")
            await other.claim("b")
            with pytest.raises(asyncpg.ConnectionDoesNotExistError) as caught:
                await writer.append(create("wal_1"))
            assert isinstance(caught.value.__cause__, asyncpg.TransactionTimeoutError)
            await other._append.execute("ROLLBACK")
            with pytest.raises(_BROKEN):
                await writer.append(create("wal_1"))
            await poll(impatient._append.is_closed)
    assert (await database.contents()).log == []


async def test_a_statement_that_gives_up_waiting_leaves_its_session(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine_log._APPEND_SESSION, "lock_timeout", "100ms")
    async with shard_log(database) as impatient:
        monkeypatch.delitem(engine_log._APPEND_SESSION, "lock_timeout")
        async with shard_log(database) as other:
            writer = await Writer.claiming(impatient)
            async with transaction(other):
                await other.claim("b")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await writer.append(create("wal_1"))
                assert await database.waiting() == 0
            await Writer.claiming(impatient, "c")
    assert (await database.contents()).log == []
