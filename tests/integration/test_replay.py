"""The log read page by page, and a wallet's state at any time from it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from engine import log, replay
from engine.migrate import migrate
from engine.replay import (
    CLOCK_BEHIND,
    FINAL_AFTER,
    EntryUnreadableError,
    read_shard,
    read_wallet,
    read_wallet_events,
    wallet_at,
)
from engine.sql import load_queries
from tests.support.databases import connection_to
from tests.support.history import START, HistoryBuilder

PARTITIONS = 4
WALLET = "wal_a"
HOME = 2  # of wal_a among 4


@pytest.fixture
async def connection(database_url):
    await migrate(database_url)
    async with connection_to(database_url) as connection:
        yield connection


@pytest.fixture
async def started(connection):
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', $1)",
        PARTITIONS,
    )
    return connection


def later(seconds):
    return START + timedelta(seconds=seconds)


def busy_shard():
    """20 top-ups for wal_a at START + 0 .. 19 s, between those of another wallet."""
    history = HistoryBuilder(HOME).create(WALLET).create("wal_z")
    for amount in range(20):
        history.topup(WALLET, amount + 1).topup("wal_z", 5).debit(WALLET, 10_000).wait(1)
    return history


async def collect(pages):
    return [row async for page in pages for row in page]


@pytest.mark.parametrize("page", [1, 7, 1000])
async def test_a_shard_is_read_whole_and_in_order(connection, page):
    history = busy_shard()
    await history.write(connection)

    rows = await collect(read_shard(connection, HOME, 3, 40, page))

    assert [row["position"] for row in rows] == list(range(3, 40))
    assert [row["version"] for row in rows] == [e.version for e in history.entries[3:40]]


async def test_reading_past_the_end_ends(connection):
    history = busy_shard()
    await history.write(connection)

    rows = await collect(read_shard(connection, HOME, 0, 10_000, 7))

    assert len(rows) == len(history.entries)


@pytest.mark.parametrize("page", [1, 7, 1000])
async def test_a_wallets_entries_are_its_own_with_rejections_in_order(connection, page):
    history = busy_shard()
    await history.write(connection)

    rows = await collect(read_wallet(connection, HOME, WALLET, page=page))

    own = [entry.position for entry in history.entries if entry.wallet_id == WALLET]
    assert [row["position"] for row in rows] == own
    assert {row["type"] for row in rows} == {"wallet_created", "topped_up", "command_rejected"}


@pytest.mark.parametrize("page", [1, 7, 1000])
async def test_a_wallets_events_come_by_version_up_to_a_time(connection, page):
    await busy_shard().write(connection)

    events = await collect(read_wallet_events(connection, HOME, WALLET, until=later(9), page=page))

    assert [entry.version for entry in events] == list(range(1, 12))


async def test_before_the_first_engine_there_is_no_answer(connection):
    assert await wallet_at(connection, WALLET) is None


async def test_a_wallet_that_does_not_exist_is_none(started):
    answer = await wallet_at(started, WALLET)

    assert answer is not None
    assert answer.state is None


async def test_the_state_at_a_time_is_what_had_happened_by_then(started):
    await busy_shard().write(started)

    for seconds in (0, 5, 19):
        answer = await wallet_at(started, WALLET, later(seconds))
        assert answer.state.wallet.balance == sum(range(1, seconds + 2))
        assert answer.state.changed_at == later(seconds)
        assert answer.state.created_at == START
    before = await wallet_at(started, WALLET, later(-1))
    assert before.state is None


@pytest.mark.parametrize("timer_ran", [False, True])
async def test_a_lot_is_worth_nothing_at_its_end_and_all_just_before(started, timer_ran):
    history = HistoryBuilder(HOME).create(WALLET).topup(WALLET, 7)
    history.credit(WALLET, 100, lasts=60).wait(90)
    if timer_ran:
        history.expire(WALLET)
    await history.write(started)

    before = await wallet_at(started, WALLET, later(60) - timedelta(microseconds=1))
    at_the_end = await wallet_at(started, WALLET, later(60))
    now = await wallet_at(started, WALLET)

    assert before.state.wallet.balance == 107
    assert at_the_end.state.wallet.balance == 7
    assert now.state.wallet.balance == 7
    assert at_the_end.state.wallet.version == 3  # a lot that is left out is no entry


async def test_an_answer_is_final_once_no_entry_of_its_time_can_come(started):
    """An entry's time may be 5 s old when its append begins, and that may take 10 s."""
    await busy_shard().write(started)
    database_now = await started.fetchval("SELECT clock_timestamp()")

    old_enough = await wallet_at(started, WALLET, database_now - timedelta(seconds=15))
    too_young = await wallet_at(started, WALLET, database_now - timedelta(seconds=6))
    now = await wallet_at(started, WALLET)

    assert old_enough.final
    assert not too_young.final
    assert not now.final


async def test_no_answer_is_final_while_an_append_of_its_time_waits_for_the_disk(
    started, database_url, monkeypatch
):
    """Nothing ends a transaction that is being committed, not even after those 10 s."""
    await busy_shard().write(started)
    monkeypatch.setattr(replay, "FINAL_AFTER", CLOCK_BEHIND)
    session = {"application_name": log.APPEND_SESSION_NAME}
    appending = await asyncpg.connect(database_url, server_settings=session)
    try:
        await appending.execute("BEGIN")
        begun = await appending.fetchval("SELECT now()")
        can_come = begun - CLOCK_BEHIND + timedelta(microseconds=1)
        assert not (await wallet_at(started, WALLET, can_come)).final
        assert (await wallet_at(started, WALLET, begun - 2 * CLOCK_BEHIND)).final
        await appending.execute("COMMIT")
        assert (await wallet_at(started, WALLET, can_come)).final
    finally:
        await appending.close()


def test_final_is_as_far_back_as_the_append_allows_and_no_less():
    append = load_queries(Path(log.__file__).with_name("log.sql"))["append"]

    behind_s = CLOCK_BEHIND.total_seconds()
    assert f"interval '{behind_s:.0f} s' AND" in append
    assert FINAL_AFTER.total_seconds() == log.TRANSACTION_TIMEOUT_S + behind_s


async def test_now_is_never_before_the_shards_own_clock(started):
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=30)
    history = HistoryBuilder(HOME, now=ahead).create(WALLET).topup(WALLET, 9)
    await history.write(started)

    answer = await wallet_at(started, WALLET)

    assert answer.at == ahead
    assert answer.state.wallet.balance == 9


async def test_an_entry_of_a_newer_release_is_named_as_such(started):
    await HistoryBuilder(HOME).create(WALLET).write(started)
    await started.execute(
        "INSERT INTO log VALUES ($1, 1, $2, 2, '\\x00', 'hold_placed', now(), $3)",
        HOME,
        WALLET,
        b'{"event":{"type":"hold_placed"}}',
    )

    with pytest.raises(EntryUnreadableError, match="newer release"):
        await wallet_at(started, WALLET)
