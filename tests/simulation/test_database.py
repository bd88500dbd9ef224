"""What the simulated database does that a real one only does by chance, and what it refuses to do."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from random import Random
from typing import Any

import asyncpg
import pytest

from engine import log as engine_log
from projections.models import PROJECTIONS, Generation
from projections.projector import read_behind, take_in
from tests.conformance.log.writing import Writer
from tests.simulation.database import NoTrouble, SimulatedDatabase
from tests.simulation.database.conditions import read_conditions
from tests.simulation.database.errors import (
    CommitWithoutReplyError,
    UnknownQueryError,
    serialization_failure,
)
from tests.simulation.database.rows import StoredRow
from tests.simulation.loop import VirtualLoop
from tests.support.payloads import create
from tests.support.random_history import random_history


class Trouble(NoTrouble):
    """Seconds for the commits of one query; `spoil` instead, if it raises."""

    def __init__(self, what: str, commit_s: float = 0.0, spoil: Callable[[], Any] = int) -> None:
        self._what = what
        self._commit_s = commit_s
        self._spoil = spoil

    def commit(self, what: str) -> float:
        if what != self._what:
            return 0.0
        self._spoil()
        return self._commit_s


def on_virtual_time(work: Callable[[SimulatedDatabase], Any], trouble: Any = None) -> None:
    """Run it on a loop of its own, whose time passes at once."""
    loop = VirtualLoop(Random(1))

    async def run() -> None:
        await work(SimulatedDatabase(lambda: datetime.now(UTC), trouble))

    loop.run_until_complete(run())


async def lease(database: SimulatedDatabase) -> Writer:
    log = engine_log.ShardLog(0, *[await database.connect() for _ in range(3)])
    return await Writer.claiming(log)


def test_a_slow_disk_holds_the_row() -> None:
    async def work(database: SimulatedDatabase) -> None:
        loop = asyncio.get_running_loop()
        writer, other = await lease(database), await database.connect()
        appending = asyncio.create_task(writer.append(create("wal_1")))
        await asyncio.sleep(1)
        assert database.shards[0].position == 0
        row = await other.fetchrow(engine_log._QUERIES["claim"], 0, None, "b", 1)
        assert (loop.time(), row["position"]) == (5, 1)
        await appending

    on_virtual_time(work, Trouble("append", commit_s=5))


def test_the_server_does_not_share_its_clients_pause() -> None:
    """What it does by itself runs in its own context, not in the one that asked for it."""
    process: ContextVar[str] = ContextVar("process", default="nobody's")

    async def work(database: SimulatedDatabase) -> None:
        seen: list[str] = []
        database.commit_listeners.append(lambda _: seen.append(process.get()))
        writer = await lease(database)
        process.set("the client's")
        await writer.append(create("wal_1"))
        assert seen[-1] == "nobody's"

    on_virtual_time(work, Trouble("append", commit_s=1))


def test_a_commit_can_outlive_its_connection() -> None:
    def lose() -> None:
        raise CommitWithoutReplyError(after_s=3)

    async def work(database: SimulatedDatabase) -> None:
        writer = await lease(database)
        with pytest.raises(asyncpg.ConnectionDoesNotExistError):
            await writer.append(create("wal_1"))
        assert asyncio.get_running_loop().time() < 1
        assert database.shards[0].position == 0
        # whoever claims waits for it
        next_writer = await lease(database)
        assert next_writer.tip.position == 1

    on_virtual_time(work, Trouble("append", spoil=lose))


def test_a_commit_can_be_refused() -> None:
    def refuse() -> None:
        raise serialization_failure()

    async def work(database: SimulatedDatabase) -> None:
        writer = await lease(database)
        with pytest.raises(asyncpg.SerializationError):
            await writer.append(create("wal_1"))
        assert (database.shards[0].position, database.log[0]) == (0, [])
        assert not writer.log._append.is_closed()

    on_virtual_time(work, Trouble("append", spoil=refuse))


@pytest.mark.parametrize("name", list(PROJECTIONS))
def test_a_crash_takes_back_what_did_not_wait_for_the_disk(name: str) -> None:
    history = random_history(1, steps=60)

    async def work(database: SimulatedDatabase) -> None:
        database.tables[0].add(map(StoredRow.of, history.entries))
        database.shards[0].position = len(history.entries)
        hasty: Any = await database.connect(server_settings={"synchronous_commit": "off"})
        model, before = database.models[name], {}
        for wait_s in (1, 0.1):
            [entries, *_] = await read_behind(hasty, [Generation(PROJECTIONS[name], 1)], 30)
            before = dict(model.rows)
            assert await take_in(hasty, entries)
            assert dict(model.rows) != before
            await asyncio.sleep(wait_s)
        database.crash()
        # the second one whole; the first had reached the disk by itself
        assert dict(model.rows) == before
        assert database.checkpoints[name, 1, 0].position == 30

    on_virtual_time(work)


def test_what_is_flushed_stays() -> None:
    history = random_history(1, steps=60)

    async def work(database: SimulatedDatabase) -> None:
        database.tables[0].add(map(StoredRow.of, history.entries))
        database.shards[0].position = len(history.entries)
        hasty: Any = await database.connect(server_settings={"synchronous_commit": "off"})
        [entries] = await read_behind(hasty, [Generation(PROJECTIONS["lots"], 1)])
        assert await take_in(hasty, entries)
        # it waits for the disk, and with it whatever came before
        await engine_log.ShardLog(1, *[await database.connect() for _ in range(3)]).claim("a")
        database.crash()
        assert database.checkpoints["lots", 1, 0].position == entries.stop

    on_virtual_time(work)


def test_an_unknown_query_is_not_taken_for_trouble() -> None:
    async def work(database: SimulatedDatabase) -> None:
        connection = await database.connect()
        with pytest.raises(UnknownQueryError, match="DROP"):
            await connection.execute("DROP TABLE log")

    on_virtual_time(work)
    assert not issubclass(UnknownQueryError, Exception)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("lease = $2", "lease <> $2"),
        ("shard = $1 AND ", ""),
        ("SET next_offset = $5", "SET next_offset = $5 + 1"),
    ],
)
@pytest.mark.parametrize("more", [False, True])
def test_a_changed_statement_is_not_taken_for_the_old_one(
    there: str, instead: str, more: bool
) -> None:
    changed = engine_log.append_query(more=more).replace(there, instead, 1)
    assert changed != engine_log.append_query(more=more)

    async def work(database: SimulatedDatabase) -> None:
        connection = await database.connect()
        with pytest.raises(UnknownQueryError):
            await connection.fetchval(changed, 0)

    on_virtual_time(work)


def test_conditions_are_read_from_the_text() -> None:
    [equal, given, between] = read_conditions(
        "name = $1 AND position = $2 AND $3::bigint IS NOT NULL AND $4 BETWEEN"
        " clock_timestamp() - interval '5 s' AND clock_timestamp() + interval '1 s'",
        frozenset({"name"}),
    )
    now = datetime.now(UTC)

    class Row:
        position = 7

    assert [equal(Row, ("a", position), now) for position in (7, 8)] == [True, False]
    assert [given(Row, ("a", 7, value), now) for value in (0, None)] == [True, False]
    assert between(Row, ("a", 7, 0, now), now)
