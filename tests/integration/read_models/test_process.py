"""The projector as a process: it follows, is told and tells, stops, and outlives the database."""

import asyncio
import logging
import signal
import sys
from contextlib import asynccontextmanager

import pytest

from engine.settings import Settings
from projections.errors import DatabaseRefusedError, NotInstalledError
from projections.models import PROJECTIONS, Generation
from projections.process import keep_up
from projections.projector import advance, read_behind, take_in
from projections.session import AWAY, connected
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder
from tests.support.polling import poll, poll_async
from tests.support.random_history import random_history
from tests.support.read_models import differences, is_caught_up, keeping_up, positions

RUN = """
from engine.settings import load_settings
from projections.process import run
run(load_settings())
"""


async def test_models_follow_the_log(url, connection):
    histories = [random_history(shard, shard=shard, steps=400) for shard in range(3)]
    async with keeping_up(Settings(database_url=url)):
        for _ in range(5):
            for history in histories:
                await history.write(connection, len(history.entries) // 5 + 1)
        await poll_async(lambda: is_caught_up(connection))

    assert await differences(connection) == []


async def test_two_keep_up_beside_each_other(url, connection):
    history = random_history(8, steps=3_000)
    async with keeping_up(Settings(database_url=url)), keeping_up(Settings(database_url=url)):
        for _ in range(30):
            await history.write(connection, 100)
        await history.write(connection)
        await poll_async(lambda: is_caught_up(connection))

    assert await differences(connection) == []


async def test_it_tells_which_shard_the_models_have_moved_in(url, connection):
    told = []
    async with connection_to(url) as listening, keeping_up(Settings(database_url=url)):
        await listening.add_listener("wallet_models", lambda *message: told.append(message[-1]))
        await HistoryBuilder(5).create("wal_a").write(connection)
        await poll(lambda: "5" in told)
        await listening.reset()


async def test_a_reader_saves_itself_the_wait_for_the_next_look(url, connection, monkeypatch):
    # nobody looks unless hurried, except for the first time
    monkeypatch.setattr("projections.follower._REST_S", 3_600.0)
    history = HistoryBuilder().create("wal_a")
    await history.write(connection)
    stop = asyncio.Event()
    task = asyncio.create_task(keep_up(Settings(database_url=url), stop))
    await poll_async(lambda: is_caught_up(connection))
    for _ in range(3):
        await history.topup("wal_a", 1).write(connection)

        async def hurry_and_look():
            await connection.execute("NOTIFY wallet_readers")
            return await is_caught_up(connection)

        await poll_async(hurry_and_look)
    stop.set()
    await connection.execute("NOTIFY wallet_readers")
    await task


@asynccontextmanager
async def spawned(url):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, env={"WALLET_DATABASE_URL": url}, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_cleanly_in_the_middle_of_work(url, connection, number):
    await random_history(9, steps=15_000, wallets=200).write(connection)
    async with spawned(url) as process:
        await poll_async(lambda: _has_begun(connection))
        process.send_signal(number)
        _, stderr = await process.communicate()

    assert (process.returncode, stderr) == (0, b"")
    async with keeping_up(Settings(database_url=url)):
        await poll_async(lambda: is_caught_up(connection))
    assert await differences(connection) == []


async def test_a_process_that_is_killed_leaves_nothing_half_done(url, connection):
    await random_history(10, steps=15_000, wallets=200).write(connection)
    async with spawned(url) as process:
        await poll_async(lambda: _has_begun(connection))
        process.kill()
        await process.wait()

    assert await differences(connection) == []
    async with keeping_up(Settings(database_url=url)):
        await poll_async(lambda: is_caught_up(connection))
    assert await differences(connection) == []


async def _has_begun(connection):
    return any((await positions(connection)).values())


async def test_a_database_without_read_models_is_told_of_in_one_line(database_url):
    with pytest.raises(NotInstalledError, match="wallet migrate"):
        await keep_up(Settings(database_url=database_url), asyncio.Event())


async def test_a_database_that_does_not_exist_is_told_of_in_one_line(database_url):
    with pytest.raises(DatabaseRefusedError, match="WALLET_DATABASE_URL"):
        await keep_up(Settings(database_url=f"{database_url}_not"), asyncio.Event())


async def test_it_waits_for_a_database_that_is_away_and_goes_on(stack, url, caplog):
    history = random_history(12, steps=500)
    async with connection_to(url) as connection:
        await history.write(connection, 100)
    with caplog.at_level(logging.WARNING, logger="projections"):
        async with keeping_up(Settings(database_url=url)):
            try:
                await stack.postgres.stop()
                await poll(lambda: "the database is away" in caplog.text)
            finally:
                await stack.postgres.start()
            async with connection_to(url) as connection:
                await history.write(connection)
                await poll_async(lambda: is_caught_up(connection))
                assert await differences(connection) == []

    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "the database is away",
        "the database is back",
    ]


async def test_a_frozen_projector_does_not_stop_another_for_ever(url, connection):
    """A process that is stopped inside of a transaction holds the checkpoint's row."""
    await random_history(13, steps=300).write(connection)
    wallets = PROJECTIONS["wallets"]
    (entries,) = await read_behind(connection, [Generation(wallets, 1)])

    async def freeze_while_another_works():
        async with connected(url, "frozen", timeout_ms=300) as frozen:
            await frozen.execute("BEGIN")
            await advance(frozen, entries)
            assert await take_in(connection, entries)
            await frozen.execute("COMMIT")

    with pytest.raises(AWAY):
        await freeze_while_another_works()
