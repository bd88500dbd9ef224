"""What the SQL of each read model writes is what its plain `apply` writes, which the simulation uses."""

import itertools

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.models import PROJECTIONS, Generation
from projections.projector import Range, read_behind, take_in
from tests.conformance.log.databases import LogDatabase
from tests.conformance.log.plain_models import plainly
from tests.conformance.log.real import RealDatabase
from tests.conformance.log.simulated import SimulatedLogDatabase
from tests.support.random_history import STEPS, play, random_history
from tests.support.read_models import catch_up

SHARDS = itertools.count(100)
"""Each example has a shard of its own, so all can share a database."""

RANGES = st.sampled_from([1, 2, 3, 7, 1_000])


NAMES = list(PROJECTIONS)
TOGETHER = [*([name] for name in NAMES), ["lots", "transactions"], NAMES]
"""Models that are filled from one reading of the entries, in the cases here."""


@pytest.mark.parametrize("names", TOGETHER, ids="-".join)
# making a failing example smaller takes its time
@pytest.mark.timeout(600)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, real_range=RANGES, simulated_range=RANGES)
async def test_the_sql_does_what_the_plain_apply_does(
    real_log: RealDatabase,
    simulated_log: SimulatedLogDatabase,
    names: list[str],
    steps,
    real_range: int,
    simulated_range: int,
) -> None:
    history = play(steps, shard=next(SHARDS))
    expected = [plainly(history, name) for name in names]
    databases: list[tuple[LogDatabase, int]] = [
        (real_log, real_range),
        (simulated_log, simulated_range),
    ]
    for database, entries_max in databases:
        await database.write(history)
        connection = await database.connect()
        await catch_up(connection, [PROJECTIONS[name] for name in names], entries_max)
        await connection.close()
        assert [await database.model(name, history.shard) for name in names] == expected
        for name in names:
            assert await database.checkpoint(name, history.shard) == len(history.entries)


@pytest.mark.parametrize("names", TOGETHER, ids="-".join)
async def test_a_long_history_in_uneven_ranges(database: LogDatabase, names: list[str]) -> None:
    history = random_history(11, steps=2_000, wallets=30)
    kinds = {type(entry.event).__name__ for entry in history.entries}
    assert kinds >= {"Expired", "WrittenOff", "Closed", "Frozen", "CommandRejected"}
    await database.write(history)
    connection = await database.connect()
    position = 0
    for size in itertools.cycle((1, 2, 40, 3, 97, 211)):
        stop = min(position + size, len(history.entries))
        await catch_up_to(connection, names, position, stop)
        if stop == len(history.entries):
            break
        position = stop
    await connection.close()
    for name in names:
        assert await database.model(name) == plainly(history, name)
    if "lots" in names:
        # what is owed is there as well
        assert any(row[3] < 0 for row in await database.model("lots"))


async def catch_up_to(
    connection: asyncpg.Connection, names: list[str], start: int, stop: int
) -> None:
    models = tuple(Generation(PROJECTIONS[name], 1) for name in sorted(names))
    await read_behind(connection, models)
    assert await take_in(connection, Range(models, 0, start, stop, stop))
