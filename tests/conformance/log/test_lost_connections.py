"""What is left of an append when the connection, the client or the server goes away under it."""

import asyncio

import asyncpg
import pytest

from engine.errors import LeaseLostError
from engine.log import ShardLog
from projections.models import PROJECTIONS, Generation
from projections.projector import read_behind, take_in
from projections.session import AWAY
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.locking import transaction, until_waiting
from tests.conformance.log.plain_models import plainly
from tests.conformance.log.writing import Writer
from tests.support.payloads import create
from tests.support.polling import poll_async
from tests.support.random_history import random_history


async def _next_claim(database: LogDatabase) -> int:
    """The position that whoever claims next finds."""
    async with shard_log(database) as log:
        return (await log.claim("next")).position


async def test_an_append_that_does_not_arrive_is_not_done(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        database.lose_next_request()
        with pytest.raises(AWAY):
            await writer.append(create("wal_2"))
        assert log._append.is_closed()
        with pytest.raises(asyncpg.InterfaceError, match="closed"):
            await writer.append(create("wal_2"))
    assert await _next_claim(database) == 1


async def test_an_append_whose_reply_is_lost_is_done(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        database.lose_next_reply()
        with pytest.raises(AWAY):
            await writer.append(create("wal_2"))
        assert log._append.is_closed()
    assert await _next_claim(database) == 2


async def test_the_server_goes_on_without_its_client(database: LogDatabase) -> None:
    """An append that waits for the row commits when it gets it, though nobody is there."""
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        await other._append.execute("BEGIN")
        await other.claim("b")
        appending = asyncio.create_task(writer.append(create("wal_2")))
        await until_waiting(database)
        log.close()
        with pytest.raises(AWAY):
            await appending
        assert await database.waiting() == 1
        await other._append.execute("ROLLBACK")
        await poll_async(lambda: _stands_at(other, writer.tip.offset + 1))
        assert (await other.claim("c")).position == 2


async def _stands_at(log: ShardLog, offset: int) -> bool:
    return await log.next_offset() == offset


async def test_the_server_fences_what_its_client_has_left(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        async with transaction(other):
            await other.claim("b")
            appending = asyncio.create_task(writer.append(create("wal_2")))
            await until_waiting(database)
            log.close()
            with pytest.raises(AWAY):
                await appending
    assert await _next_claim(database) == 1


async def test_a_cancelled_append_does_not_go_on_waiting(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        await other._append.execute("BEGIN")
        await other.claim("b")
        appending = asyncio.create_task(writer.append(create("wal_2")))
        await until_waiting(database)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        await until_waiting(database, 0)
        await other._append.execute("ROLLBACK")
        assert (await other.claim("c")).position == 1
        # the session has come through it
        assert (await log.claim("d")).position == 1


async def test_an_append_is_not_waited_for_for_ever(database: LogDatabase) -> None:
    database.settings.database_timeout_ms = 1_500
    async with shard_log(database) as log:
        database.settings.database_timeout_ms = 10_000
        async with shard_log(database) as other:
            writer = await Writer.claiming(log)
            await writer.append(create("wal_1"))
            await other._append.execute("BEGIN")
            await other.claim("b")
            with pytest.raises(TimeoutError):
                await writer.append(create("wal_2"))
            await until_waiting(database, 0)
            await other._append.execute("ROLLBACK")
            assert (await other.claim("c")).position == 1


async def test_a_transaction_ends_with_its_connection(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await log._append.execute("BEGIN")
        await writer.append(create("wal_1"))
        database.cut()
        for each in (log, other):
            assert await _closed(each)
    assert await _next_claim(database) == 0


async def _closed(log: ShardLog) -> bool:
    with pytest.raises((*AWAY, LeaseLostError)):
        await log._append.execute("SET lock_timeout = '1s'")
    return log._append.is_closed()


async def test_a_crash_takes_what_was_not_committed(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        history = random_history(1, shard=1, steps=100)
        await database.write(history)
        await _take_in_hastily(database, "lots")
        before = await database.contents()
        await log._append.execute("BEGIN")
        await writer.append(create("wal_2"))
        claiming = asyncio.create_task(other.claim("b"))
        await until_waiting(database)
        await database.crash()
        with pytest.raises(AWAY) as caught:
            await claiming
        assert not isinstance(caught.value, TimeoutError)
        assert await _closed(log)
        assert await database.contents() == before
    assert await _next_claim(database) == 1
    # what did not wait for the disk may be gone, but in whole ranges
    position = await database.checkpoint("lots", 1)
    assert position in (None, 0, 40, 80)
    assert await database.model("lots", 1) == plainly(history, "lots", position or 0)


async def _take_in_hastily(database: LogDatabase, name: str) -> None:
    connection = await database.connect(synchronous_commit="off")
    for _ in range(2):
        for entries in await read_behind(connection, [Generation(PROJECTIONS[name], 1)], 40):
            assert await take_in(connection, entries)
    await connection.close()


async def test_a_connection_does_one_thing_at_a_time(database: LogDatabase) -> None:
    async with shard_log(database) as log, shard_log(database) as other:
        await log.claim("a")
        async with transaction(other):
            await other.claim("b")
            claiming = asyncio.create_task(log.claim("c"))
            await until_waiting(database)
            with pytest.raises(asyncpg.InterfaceError, match="another operation"):
                await log.claim("d")
        assert (await claiming).epoch == 3


async def test_background_work_takes_turns(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        results = await asyncio.gather(*(log.read_entries(0, 1, 1) for _ in range(5)))
    assert results == [[]] * 5
