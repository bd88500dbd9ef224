"""Taking in a range: all of it and nothing else, once, whoever else is at it or dies meanwhile."""

import asyncio
import logging
from dataclasses import replace

import asyncpg
import pytest

from projections.follower import Follower
from projections.models import PROJECTIONS
from projections.projector import Range, read_behind, take_in
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder
from tests.support.polling import poll, poll_async
from tests.support.random_history import random_history
from tests.support.read_models import catch_up, differences, is_caught_up, positions

WALLETS = PROJECTIONS["wallets"]
GATE = 4711


def gated(projection, before):
    """The projection with a gate before one of its statements, which whoever holds GATE keeps
    shut."""
    queries = {}
    for name, query in projection.queries.items():
        if name == before:
            gate = f"WITH gate AS (SELECT pg_advisory_xact_lock_shared({GATE}))"
            queries[f"apply_gate_{name}"] = (
                f"{gate} SELECT FROM gate WHERE $1::integer + $2::bigint + $3::bigint >= 0"
            )
        queries[name] = query
    return replace(projection, queries=queries)


async def wait_at_gate(connection):
    """Until somebody waits at the gate."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await poll_async(lambda: connection.fetchval(query))


async def test_two_projectors_at_once_take_in_everything_once(url, connection):
    histories = [random_history(shard, shard=shard, steps=1_500) for shard in range(3)]

    async def project():
        async with connection_to(url) as own:
            while not done.is_set() or not await is_caught_up(own):
                await catch_up(own, entries_max=50)

    done = asyncio.Event()
    projectors = [asyncio.create_task(project()) for _ in range(3)]
    for _ in range(12):
        for history in histories:
            await history.write(connection, len(history.entries) // 12 + 1)
    done.set()
    await asyncio.gather(*projectors)

    assert await differences(connection) == []


@pytest.mark.parametrize("name", list(PROJECTIONS))
async def test_a_range_is_taken_in_once(connection, name):
    await random_history(2, steps=200).write(connection)
    projection = PROJECTIONS[name]
    (entries,) = await read_behind(connection, projection, 1)

    assert await take_in(connection, projection, 1, entries)
    before = await connection.fetch(f"SELECT * FROM {name}_1 ORDER BY 1, 2, 3")
    assert not await take_in(connection, projection, 1, entries)

    assert await connection.fetch(f"SELECT * FROM {name}_1 ORDER BY 1, 2, 3") == before


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("wallets", "apply_created"),
        ("wallets", "apply_changed"),
        ("transactions", "apply"),
        ("lots", "apply"),
        ("postings", "apply"),
    ],
)
async def test_what_is_committed_in_the_middle_is_left_for_the_next_range(
    url, connection, name, statement
):
    history = HistoryBuilder().create("wal_a").topup("wal_a", 30)
    await history.write(connection)
    projection = PROJECTIONS[name]
    (entries,) = await read_behind(connection, projection, 1)
    async with connection_to(url) as other:
        await other.execute("SELECT pg_advisory_lock($1)", GATE)
        taking = asyncio.create_task(take_in(connection, gated(projection, statement), 1, entries))
        await wait_at_gate(other)
        # the checkpoint has been set by now, and the next statement sees these
        await history.topup("wal_a", 10).create("wal_b").topup("wal_b", 5).write(other)
        await other.execute("SELECT pg_advisory_unlock($1)", GATE)
        assert await taking

        assert (await positions(other))[name, 0] == entries.stop == 2
        assert [told for told in await differences(other) if told.startswith(name)] == []
        await catch_up(other)
        assert await differences(other) == []


async def test_sums_of_two_models_at_one_checkpoint_agree(url, connection):
    """30 in one table and 40 in the other, with a compare-and-set that holds: not here."""
    history = HistoryBuilder().create("wal_a").topup("wal_a", 30)
    await history.write(connection)
    async with connection_to(url) as other:
        for projection in (PROJECTIONS["transactions"], WALLETS):
            (entries,) = await read_behind(connection, projection, 1, 2)
            await history.topup("wal_a", 10).write(other)
            assert await take_in(connection, projection, 1, entries)

    sums = (
        "SELECT sum(amount)::bigint, (SELECT sum(balance)::bigint FROM wallets) FROM transactions"
    )
    assert tuple(await connection.fetchrow(sums)) == (30, 30)


async def test_the_checkpoint_goes_back_with_the_rows_when_a_projector_dies(url, connection):
    await random_history(3, steps=300).write(connection)
    async with connection_to(url) as dying, connection_to(url) as gate_keeper:
        await gate_keeper.execute("SELECT pg_advisory_lock($1)", GATE)
        (entries,) = await read_behind(dying, WALLETS, 1)
        victim = await dying.fetchval("SELECT pg_backend_pid()")
        taking = asyncio.create_task(take_in(dying, gated(WALLETS, "apply_changed"), 1, entries))
        await wait_at_gate(connection)

        await connection.execute("SELECT pg_terminate_backend($1)", victim)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await taking

    assert (await positions(connection))["wallets", 0] == 0
    assert await connection.fetchval("SELECT count(*) FROM wallets") == 0
    await catch_up(connection)
    assert await differences(connection) == []


async def test_a_second_projector_waits_for_the_first_and_finds_its_range_taken(url, connection):
    await random_history(4, steps=100).write(connection)
    (entries,) = await read_behind(connection, WALLETS, 1)
    async with connection_to(url) as first, connection_to(url) as second:
        await connection.execute("SELECT pg_advisory_lock($1)", GATE)
        slow = asyncio.create_task(take_in(first, gated(WALLETS, "apply_created"), 1, entries))
        await wait_at_gate(connection)
        late = asyncio.create_task(take_in(second, WALLETS, 1, entries))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
        await poll_async(lambda: connection.fetchval(waiting))
        await connection.execute("SELECT pg_advisory_unlock($1)", GATE)

        assert (await slow, await late) == (True, False)

    await catch_up(connection)
    assert await differences(connection) == []


async def test_an_entry_that_cannot_be_taken_in_holds_up_its_shard_alone(connection, caplog):
    good, bad = random_history(1, shard=0, steps=50), HistoryBuilder(1).create("wal_z")
    await good.write(connection)
    await bad.write(connection)
    await connection.execute(
        "INSERT INTO log VALUES (1, 1, 'wal_z', 2, '\\x00', 'topped_up', now(), '{broken')"
    )
    await connection.execute("UPDATE shards SET position = 2 WHERE shard = 1")
    stop = asyncio.Event()
    follower = Follower(PROJECTIONS["transactions"], stop)

    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(
            follower.run(connection, on_looked=lambda: None, on_moved=lambda _: None)
        )
        await poll(lambda: "refuses entries 0 to 1 of shard 1" in caplog.text)
        stop.set()
        await running

    reached = await positions(connection)
    assert reached["transactions", 0] == len(good.entries)
    assert reached["transactions", 1] == 0


async def test_a_range_of_a_generation_that_is_gone_is_refused(connection):
    await random_history(4, steps=10).write(connection)

    assert not await take_in(connection, WALLETS, 9, Range(0, 0, 5, 5))
