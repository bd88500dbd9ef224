"""Rebuilding a read model beside the live one: equal, without a gap, and never back in time."""

import asyncio
import logging
from dataclasses import replace

import pytest

from engine.settings import Settings
from projections import rebuild as rebuilding
from projections.errors import (
    FlipBlockedError,
    NotInstalledError,
    RebuildDiffersError,
    RebuildRunningError,
    UnknownProjectionError,
)
from projections.models import PROJECTIONS, Generation
from projections.projector import read_behind, take_in
from projections.rebuild import rebuild
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder
from tests.support.polling import poll_async
from tests.support.random_history import random_history
from tests.support.read_models import catch_up, differences, is_caught_up, keeping_up, positions


async def generations(connection):
    """(name, generation) of the live ones; the tables are those of all that the catalog names."""
    rows = await connection.fetch("SELECT name, generation, live FROM projections ORDER BY 1, 2")
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_[0-9]+$' ORDER BY 1"
    )
    named = sorted(f"{row['name']}_{row['generation']}" for row in rows)
    assert [table["relname"] for table in tables] == named
    return [(row["name"], row["generation"]) for row in rows if row["live"]]


async def content(connection, name):
    return await connection.fetch(f"SELECT * FROM {name} ORDER BY 1, 2, 3")


def fill_wrongly(monkeypatch, name, right, wrong):
    """Have a model filled by SQL that says `wrong` where it says `right`."""
    model = PROJECTIONS[name]
    assert right in model.queries["apply"]
    queries = {**model.queries, "apply": model.queries["apply"].replace(right, wrong)}
    monkeypatch.setitem(PROJECTIONS, name, replace(model, queries=queries))


@pytest.mark.parametrize("name", list(PROJECTIONS))
async def test_a_rebuilt_model_is_the_same_under_a_new_generation(url, connection, name):
    for shard in range(2):
        await random_history(shard, shard=shard, steps=1_500).write(connection)
    await catch_up(connection)
    before = await content(connection, name)
    told = []

    (report,) = await rebuild(url, [name], told.append)

    sizes = {row["shard"]: row["position"] for row in await connection.fetch("TABLE shards")}
    assert (report.name, report.replaced, report.generation) == (name, 1, 2)
    assert (report.compared_at, report.entries) == (sizes, sum(sizes.values()))
    assert await content(connection, name) == before
    assert await generations(connection) == [
        (n, 2 if n == name else 1) for n in sorted(PROJECTIONS)
    ]
    assert await differences(connection) == []
    assert [p.stage for p in told if p.stage in ("fill", "compare") and p.done == p.total] == [
        "fill",
        "compare",
    ]


async def test_rebuilt_tables_have_the_indexes_of_the_first(url, connection):
    query = "SELECT replace(indexdef, $1, '_n') FROM pg_indexes WHERE tablename = $2 ORDER BY 1"
    for name in PROJECTIONS:
        first = await connection.fetch(query, "_1", f"{name}_1")
        await rebuild(url, [name])
        assert await connection.fetch(query, "_2", f"{name}_2") == first


async def test_a_model_that_is_behind_or_wrong_is_right_afterwards(url, connection):
    await random_history(5, steps=500).write(connection)
    await catch_up(connection)
    await connection.execute("UPDATE wallets_1 SET balance = 0")
    await connection.execute("DELETE FROM lots_1")
    await connection.execute("DELETE FROM postings_1 WHERE line = 1")
    await connection.execute("UPDATE checkpoints SET position = 3 WHERE name = 'transactions'")
    await connection.execute("DELETE FROM transactions_1 WHERE position >= 3")

    for name in PROJECTIONS:
        await rebuild(url, [name])

    assert await is_caught_up(connection)
    assert await differences(connection) == []


class Load:
    """Appends and reads going on, which notice if readers see less than they saw before."""

    def __init__(self, url, shards=2):
        self.url = url
        self.histories = [random_history(s, shard=s, steps=2_000) for s in range(shards)]
        self.reads = 0
        self._stop = asyncio.Event()

    async def run(self):
        await asyncio.gather(self._append(), *(self._read(name) for name in PROJECTIONS))

    def stop(self):
        self._stop.set()

    async def _append(self):
        async with connection_to(self.url) as connection:
            step = 0
            while not self._stop.is_set():
                for history in self.histories:
                    for _ in range(50):
                        step += 1
                        history.topup(f"wal_{history.shard}x{step % 20}", 1 + step % 7)
                        history.debit(f"wal_{history.shard}x{step % 13}", 1 + step % 3)
                    await history.write(connection)
                await asyncio.sleep(0.005)

    async def _read(self, name):
        query = f"""
            SELECT (SELECT sum(position) FROM live_checkpoints WHERE name = '{name}') AS position,
                   (SELECT count(*) FROM {name}) AS rows
        """
        seen_position = seen_rows = 0
        async with connection_to(self.url) as connection:
            while not self._stop.is_set():
                position, rows = await connection.fetchrow(query)
                assert position >= seen_position
                assert name == "lots" or rows >= seen_rows
                seen_position, seen_rows = position, rows
                self.reads += 1


async def test_a_rebuild_under_load_ends_equal_to_the_live_one(url, connection):
    load = Load(url)
    for history in load.histories:
        await history.write(connection)
    async with keeping_up(Settings(database_url=url)), keeping_up(Settings(database_url=url)):
        loading = asyncio.create_task(load.run())
        for name in PROJECTIONS:
            await rebuild(url, [name])
            assert not loading.done()
        load.stop()
        await loading
        await poll_async(lambda: is_caught_up(connection))

    assert await differences(connection) == []
    assert await generations(connection) == [(name, 2) for name in sorted(PROJECTIONS)]
    assert load.reads > 0


@pytest.mark.parametrize(
    ("ahead", "new_shard", "attempts"), [(300, 0, 1), (6_000, 0, 2), (1, 1, 2)]
)
async def test_the_flip_never_goes_back(url, connection, monkeypatch, ahead, new_shard, attempts):
    """`ahead` entries come between the catching up and the flip: few are taken in by the flip
    itself; for many, or a new shard, it lets go and catches up again."""
    history = HistoryBuilder().create("wal_a").topup("wal_a", 1)
    await history.write(connection)
    await catch_up(connection)
    original, live = rebuilding._Rebuild._flip, []

    async def flip_late(self, model):
        if not live:
            for _ in range(ahead):
                history.topup("wal_a", 1)
            if new_shard:
                await HistoryBuilder(new_shard).create("wal_c").write(connection)
            await history.write(connection)
            await catch_up(connection, [PROJECTIONS["wallets"]])
        live.append(await positions(connection))
        return await original(self, model)

    monkeypatch.setattr(rebuilding._Rebuild, "_flip", flip_late)
    await rebuild(url, ["wallets"])

    now = await positions(connection)
    assert live[0]["wallets", 0] == len(history.entries) == ahead + 2
    assert all(now[key] >= position for key, position in live[0].items())
    assert len(live) == attempts
    assert await connection.fetchval("SELECT balance FROM wallets WHERE version > 1") == ahead + 1
    await catch_up(connection)
    assert await differences(connection) == []


class Interrupted(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("stage", ["fill", "index", "compare", "flip"])
async def test_a_rebuild_that_dies_leaves_the_live_model_and_the_next_one_is_clean(
    url, connection, stage
):
    await random_history(6, steps=800).write(connection)
    await catch_up(connection)
    before = await content(connection, "lots")

    def die(progress):
        if progress.stage == stage:
            raise Interrupted

    with pytest.raises(Interrupted):
        await rebuild(url, ["lots"], die)
    assert ("lots", 1) in await generations(connection)
    assert await content(connection, "lots") == before

    (report,) = await rebuild(url, ["lots"])
    assert report.replaced == 1
    assert await generations(connection) == sorted(
        (name, report.generation if name == "lots" else 1) for name in PROJECTIONS
    )
    assert await connection.fetchval("SELECT count(*) FROM projections") == len(PROJECTIONS)
    assert await differences(connection) == []


async def test_a_rebuild_that_is_killed_lets_go_of_its_lock(url, connection):
    await random_history(6, steps=300).write(connection)
    killed = asyncio.Event()

    def kill_later(_progress):
        killed.set()

    task = asyncio.create_task(rebuild(url, ["wallets"], kill_later))
    await killed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await poll_async(lambda: _can_rebuild(url))
    await catch_up(connection)
    assert await differences(connection) == []


async def _can_rebuild(url):
    try:
        await rebuild(url, ["wallets"])
    except RebuildRunningError:
        return False
    return True


async def test_one_rebuild_of_a_model_at_a_time(url, connection):
    await random_history(6, steps=300).write(connection)
    tasks = [asyncio.create_task(rebuild(url, ["wallets"])) for _ in range(3)]
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == [
        "RebuildRunningError",
        "RebuildRunningError",
        "list",
    ]


async def test_readers_never_see_what_is_not_what_a_replay_gives(url, connection, monkeypatch):
    await random_history(6, steps=500).write(connection)
    await catch_up(connection)
    fill_wrongly(monkeypatch, "wallets", "coalesce(last.money[2], w.balance)", "7")

    with pytest.raises(RebuildDiffersError, match="balance is 7, a replay gives"):
        await rebuild(url, ["wallets"])

    assert ("wallets", 1) in await generations(connection)
    assert await differences(connection) == []


async def test_a_long_reader_delays_the_flip_and_nobody_else(url, connection, monkeypatch):
    monkeypatch.setattr(rebuilding, "_LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(rebuilding, "_FLIP_ATTEMPTS_MAX", 2)
    await random_history(6, steps=300).write(connection)
    await catch_up(connection)
    async with connection_to(url) as reader, reader.transaction():
        await reader.fetch("SELECT * FROM wallets LIMIT 1")

        with pytest.raises(FlipBlockedError, match="long transaction"):
            await rebuild(url, ["wallets"])

        assert ("wallets", 1) in await generations(connection)
    (report,) = await rebuild(url, ["wallets"])
    assert report.replaced == 1


async def test_a_new_version_may_have_other_columns(url, connection, monkeypatch, caplog):
    await random_history(6, steps=300).write(connection)
    await catch_up(connection)
    lots = PROJECTIONS["lots"]
    view = "CREATE OR REPLACE VIEW lots AS SELECT wallet_id, lot, remaining FROM lots_{generation}"
    new = replace(lots, version=2, queries={**lots.queries, "create_view": view})
    monkeypatch.setitem(PROJECTIONS, "lots", new)

    # until somebody rebuilds, the new release leaves the old version alone
    with caplog.at_level(logging.WARNING, logger="projections"):
        async with keeping_up(Settings(database_url=url)):
            await poll_async(lambda: _told(caplog, "run `wallet rebuild lots`"))
            await rebuild(url, ["lots"])
            await HistoryBuilder(1).create("wal_n").topup("wal_n", 5).write(connection)
            await poll_async(lambda: is_caught_up(connection))

    assert caplog.text.count("run `wallet rebuild lots`") == 1
    rows = await connection.fetch("SELECT * FROM lots WHERE wallet_id = 'wal_n'")
    assert [tuple(row) for row in rows] == [("wal_n", 2, 5)]


async def _told(caplog, text):
    return text in caplog.text


async def test_a_new_shard_is_not_added_to_a_generation_that_is_being_dropped(url, connection):
    """Its checkpoint row would escape the flip, which locks those that are there."""
    await random_history(6, steps=50).write(connection)
    wallets = PROJECTIONS["wallets"]
    async with connection_to(url) as flipping:
        transaction = flipping.transaction()
        await transaction.start()
        await rebuilding.lock_vectors(flipping, wallets)
        late = asyncio.create_task(read_behind(connection, [Generation(wallets, 1)]))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
        await poll_async(lambda: flipping.fetchval(waiting))
        await flipping.execute("DELETE FROM projections WHERE name = 'wallets'")
        await transaction.commit()

    (entries,) = await late
    assert not await take_in(connection, entries)


async def test_unknown_names_and_empty_databases_are_told_of(database_url):
    with pytest.raises(UnknownProjectionError, match="wallets, transactions, lots, postings"):
        await rebuild(database_url, ["wallet"])
    with pytest.raises(NotInstalledError, match="wallet migrate"):
        await rebuild(database_url, ["wallets"])


async def test_several_are_filled_together_and_compared_with_one_replay(url, connection):
    for shard in range(2):
        await random_history(shard, shard=shard, steps=800).write(connection)
    await catch_up(connection)
    before = {name: await content(connection, name) for name in PROJECTIONS}
    entries = await connection.fetchval("SELECT sum(position)::bigint FROM shards")
    told = []

    reports = await rebuild(url, ["postings", "wallets", "lots"], told.append)

    assert [(report.name, report.generation) for report in reports] == [
        ("postings", 2),
        ("wallets", 2),
        ("lots", 2),
    ]
    assert {report.entries for report in reports} == {entries}
    assert await generations(connection) == [
        *(("lots", 2), ("postings", 2), ("transactions", 1), ("wallets", 2)),
    ]
    assert {name: await content(connection, name) for name in PROJECTIONS} == before
    for stage in ("fill", "compare"):
        done = [(each.done, each.total) for each in told if each.stage == stage]
        assert done == sorted(set(done))
        assert done[-1] == (entries, entries)


async def test_if_one_of_several_is_wrong_none_is_switched(url, connection, monkeypatch):
    await random_history(6, steps=500).write(connection)
    await catch_up(connection)
    fill_wrongly(monkeypatch, "postings", "'usage:'", "'use:'")

    with pytest.raises(RebuildDiffersError, match="account is 'use:"):
        await rebuild(url, PROJECTIONS)

    assert await generations(connection) == [(name, 1) for name in sorted(PROJECTIONS)]
    assert await differences(connection) == []


async def test_one_that_cannot_be_switched_leaves_those_before_it_new(
    url, connection, monkeypatch
):
    monkeypatch.setattr(rebuilding, "_LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(rebuilding, "_FLIP_ATTEMPTS_MAX", 2)
    await random_history(6, steps=300).write(connection)
    await catch_up(connection)
    async with connection_to(url) as reader, reader.transaction():
        await reader.fetch("SELECT * FROM lots LIMIT 1")

        with pytest.raises(FlipBlockedError, match="lots could not be switched"):
            await rebuild(url, ["wallets", "lots", "postings"])

    live = dict(await generations(connection))
    assert (live["wallets"], live["lots"], live["postings"]) == (2, 1, 1)
    await catch_up(connection)
    assert await differences(connection) == []


async def test_a_rebuild_of_several_keeps_away_from_any_of_them(url, connection):
    await random_history(6, steps=300).write(connection)
    results = await asyncio.gather(
        rebuild(url, ["wallets", "lots"]),
        rebuild(url, ["lots", "postings"]),
        return_exceptions=True,
    )

    assert {type(result).__name__ for result in results} == {"list", "RebuildRunningError"}


async def test_several_rebuilt_under_load_end_equal_to_the_live_ones(url, connection):
    load = Load(url)
    for history in load.histories:
        await history.write(connection)
    async with keeping_up(Settings(database_url=url)), keeping_up(Settings(database_url=url)):
        loading = asyncio.create_task(load.run())
        await rebuild(url, PROJECTIONS)
        assert not loading.done()
        load.stop()
        await loading
        await poll_async(lambda: is_caught_up(connection))

    assert await differences(connection) == []
    assert await generations(connection) == [(name, 2) for name in sorted(PROJECTIONS)]
