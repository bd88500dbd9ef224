"""Taking in a range: all of it and nothing else, once, whoever else is at it or dies meanwhile."""

import asyncio
import logging
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from projections.follower import Follower
from projections.models import PROJECTIONS, Generation, filling
from projections.observation import NOBODY, Observer
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


@asynccontextmanager
async def following(connections, projections, observer=NOBODY, on_moved=lambda _: None):
    """A follower at work, which is stopped at the end."""
    stop = asyncio.Event()
    follower = Follower(projections, stop, observer)
    running = asyncio.create_task(
        follower.run(connections, on_looked=lambda: None, on_moved=on_moved)
    )
    try:
        yield
    finally:
        stop.set()
        await running


class Taken(Observer):
    """What was taken in, in turn: (model, entries)."""

    def __init__(self):
        self.ranges = []
        self.refusals = []

    def took_in(self, model, entries, seconds):
        self.ranges.append((model, entries))

    def refused(self, model):
        self.refusals.append(model)


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
    (entries,) = await read_behind(connection, [Generation(projection, 1)])

    assert await take_in(connection, entries)
    before = await connection.fetch(f"SELECT * FROM {name}_1 ORDER BY 1, 2, 3")
    assert not await take_in(connection, entries)

    assert await connection.fetch(f"SELECT * FROM {name}_1 ORDER BY 1, 2, 3") == before


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("wallets", "apply_created"),
        ("wallets", "apply"),
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
    (entries,) = await read_behind(connection, [Generation(projection, 1)])
    async with connection_to(url) as other:
        await other.execute("SELECT pg_advisory_lock($1)", GATE)
        taking = asyncio.create_task(
            take_in(
                connection, entries._replace(models=(Generation(gated(projection, statement), 1),))
            )
        )
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
            (entries,) = await read_behind(connection, [Generation(projection, 1)], 2)
            await history.topup("wal_a", 10).write(other)
            assert await take_in(connection, entries)

    sums = (
        "SELECT sum(amount)::bigint, (SELECT sum(balance)::bigint FROM wallets) FROM transactions"
    )
    assert tuple(await connection.fetchrow(sums)) == (30, 30)


async def test_the_checkpoint_goes_back_with_the_rows_when_a_projector_dies(url, connection):
    await random_history(3, steps=300).write(connection)
    async with connection_to(url) as dying, connection_to(url) as gate_keeper:
        await gate_keeper.execute("SELECT pg_advisory_lock($1)", GATE)
        (entries,) = await read_behind(dying, [Generation(WALLETS, 1)])
        victim = await dying.fetchval("SELECT pg_backend_pid()")
        taking = asyncio.create_task(
            take_in(dying, entries._replace(models=(Generation(gated(WALLETS, "apply"), 1),)))
        )
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
    (entries,) = await read_behind(connection, [Generation(WALLETS, 1)])
    async with connection_to(url) as first, connection_to(url) as second:
        await connection.execute("SELECT pg_advisory_lock($1)", GATE)
        slow = asyncio.create_task(
            take_in(
                first, entries._replace(models=(Generation(gated(WALLETS, "apply_created"), 1),))
            )
        )
        await wait_at_gate(connection)
        late = asyncio.create_task(take_in(second, entries))
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
    with caplog.at_level(logging.ERROR):
        async with following([connection], [PROJECTIONS["transactions"]]):
            await poll(lambda: "refuses entries 0 to 1 of shard 1" in caplog.text)

    reached = await positions(connection)
    assert reached["transactions", 0] == len(good.entries)
    assert reached["transactions", 1] == 0


async def test_a_range_of_a_generation_that_is_gone_is_refused(connection):
    await random_history(4, steps=10).write(connection)

    assert not await take_in(connection, Range((Generation(WALLETS, 9),), 0, 0, 5, 5))


ALL = [Generation(PROJECTIONS[name], 1) for name in sorted(PROJECTIONS)]


@pytest.mark.parametrize("models", [ALL, *([model] for model in ALL)], ids=len)
async def test_the_json_of_an_entry_is_read_once_for_all_models(connection, models):
    *_, joint = filling(models)
    rows = await connection.fetch(f"EXPLAIN (VERBOSE) {joint}", 0, 0, 1)
    plan = "\n".join(row[0] for row in rows)

    assert plan.count("convert_from(") == 1
    assert all(f" on public.{model.projection.name}_1" in plan for model in models)


async def test_a_model_that_is_refused_stays_behind_alone_and_meets_the_others_again(
    url, connection, caplog, monkeypatch
):
    monkeypatch.setattr("projections.follower._REFUSED_BACK_OFF_S", 0.05)
    await connection.execute("ALTER TABLE transactions_1 ADD CONSTRAINT few CHECK (amount < 5)")
    history = HistoryBuilder().create("wal_a").topup("wal_a", 7)
    await history.write(connection)
    taken = Taken()
    async with connection_to(url) as own:
        async with following([own], PROJECTIONS.values(), taken):
            await poll(lambda: len(taken.refusals) > 2)
            await history.topup("wal_a", 1).write(connection)
            await poll(lambda: ("wallets", 1) in taken.ranges)
            reached = await positions(connection)
            assert {name: reached[name, 0] for name in PROJECTIONS} == {
                "wallets": 3,
                "transactions": 0,
                "postings": 3,
                "lots": 3,
            }
            await connection.execute("ALTER TABLE transactions_1 DROP CONSTRAINT few")
            await poll_async(lambda: is_caught_up(connection))
        assert set(taken.refusals) == {"transactions"}
        assert ("transactions", 3) in taken.ranges
        await history.topup("wal_a", 1).write(connection)
        (entries,) = await read_behind(own, ALL)
    assert entries.models == tuple(ALL)
    told = {record.getMessage().split(":")[0] for record in caplog.records}
    assert told == {"transactions"}
    await catch_up(connection)
    assert await differences(connection) == []


async def test_models_at_different_places_meet_at_the_end_of_the_log(url, connection):
    history = random_history(6, steps=400)
    await history.write(connection)
    for number, model in enumerate(ALL):
        (entries,) = await read_behind(connection, [model], 50 * number + 1)
        assert await take_in(connection, entries)
    taken = Taken()
    async with connection_to(url) as own, following([own], PROJECTIONS.values(), taken):
        await poll_async(lambda: is_caught_up(connection))
        alone = len(taken.ranges)
        await history.topup("wal_0x0", 1).write(connection)
        await poll_async(lambda: is_caught_up(connection))

    assert alone == len(ALL)
    assert sorted(taken.ranges[alone:]) == [(model.projection.name, 1) for model in ALL]
    assert await differences(connection) == []


async def test_two_shards_are_taken_in_at_a_time(url, connection):
    for shard in range(2):
        await random_history(shard, shard=shard, steps=50).write(connection)
    gates = {**PROJECTIONS, "wallets": gated(WALLETS, "apply")}
    async with connection_to(url) as one, connection_to(url) as another:
        await connection.execute("SELECT pg_advisory_lock($1)", GATE)
        async with following([one, another], gates.values()):
            query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            await poll_async(lambda: has_become(connection, query, 2))
            await connection.execute("SELECT pg_advisory_unlock($1)", GATE)
            await poll_async(lambda: is_caught_up(connection))

    assert await differences(connection) == []


async def has_become(connection, query, value):
    return await connection.fetchval(query) == value
