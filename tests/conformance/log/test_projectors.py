"""Taking in ranges: once each, by whoever comes first, and only what is committed."""

import asyncio

import asyncpg
import pytest

from projections import projector
from projections.catalog import find_live, is_installed
from projections.models import PROJECTIONS, Generation, filling
from projections.projector import Range, advance, read_behind, take_in
from tests.conformance.log.databases import LogDatabase, Row
from tests.conformance.log.locking import until_waiting
from tests.support.history import HistoryBuilder
from tests.support.random_history import random_history

NAMES = list(PROJECTIONS)
LOTS, POSTINGS, TRANSACTIONS, WALLETS = (Generation(PROJECTIONS[n], 1) for n in sorted(NAMES))
ALL = (LOTS, POSTINGS, TRANSACTIONS, WALLETS)


async def state(database: LogDatabase) -> dict[str, tuple[int | None, list[Row]]]:
    """Checkpoint and rows of each model."""
    return {name: (await database.checkpoint(name), await database.model(name)) for name in NAMES}


async def test_a_model_is_behind_by_what_the_log_has_more(database: LogDatabase) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 30).debit("wal_a", 5)
    await database.write(history, 2)
    connection = await database.connect()
    wallets = PROJECTIONS["wallets"]
    assert await find_live(connection, wallets) == (1, wallets.version)
    assert await is_installed(connection, wallets)
    models = (Generation(wallets, 1),)
    assert await read_behind(connection, models, 1) == [Range(models, 0, 0, 1, 2)]
    assert await read_behind(connection, models) == [Range(models, 0, 0, 2, 2)]
    assert await database.checkpoint("wallets") == 0
    assert await take_in(connection, Range(models, 0, 0, 2, 2))
    assert await read_behind(connection, models) == []
    assert await database.checkpoint("wallets") == 2
    await database.write(history)
    assert await read_behind(connection, models) == [Range(models, 0, 2, 3, 3)]
    # each has its own checkpoint
    lots = Generation(PROJECTIONS["lots"], 1)
    assert await read_behind(connection, [lots]) == [Range((lots,), 0, 0, 3, 3)]
    await connection.close()


async def test_a_generation_that_is_gone_takes_nothing_in(database: LogDatabase) -> None:
    await database.write(HistoryBuilder().create("wal_a"))
    connection = await database.connect()
    [entries] = await read_behind(connection, [Generation(PROJECTIONS["wallets"], 7)])
    assert not await take_in(connection, entries)
    await connection.close()
    assert await database.model("wallets") == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_range_is_taken_in_once(database: LogDatabase, name: str) -> None:
    await database.write(random_history(2, steps=100))
    connection = await database.connect()
    [entries] = await read_behind(connection, [Generation(PROJECTIONS[name], 1)])
    assert await take_in(connection, entries)
    before = await database.model(name)
    assert before
    assert not await take_in(connection, entries)
    await connection.close()
    assert await database.model(name) == before


@pytest.mark.parametrize("name", NAMES)
async def test_without_the_compare_and_set_it_is_taken_in_twice(
    database: LogDatabase, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = projector._QUERIES["advance"]
    unguarded = query.replace("position = $4", "$4::bigint IS NOT NULL")
    assert unguarded != query
    monkeypatch.setitem(projector._QUERIES, "advance", unguarded)
    await database.write(random_history(2, steps=100))
    connection = await database.connect()
    [entries] = await read_behind(connection, [Generation(PROJECTIONS[name], 1)])
    assert await take_in(connection, entries)
    before = await database.model(name)
    if name == "lots":
        assert await take_in(connection, entries)
        assert await database.model(name) != before
    else:
        with pytest.raises(asyncpg.UniqueViolationError) as caught:
            await take_in(connection, entries)
        assert caught.value.constraint_name == f"{name}_1_pkey"
        assert await database.model(name) == before
        assert await database.checkpoint(name) == entries.stop
    await connection.close()


@pytest.mark.parametrize("name", NAMES)
async def test_nothing_of_a_range_is_seen_before_its_commit(
    database: LogDatabase, name: str
) -> None:
    await database.write(random_history(3, steps=50))
    connection = await database.connect()
    projection = PROJECTIONS[name]
    [entries] = await read_behind(connection, [Generation(projection, 1)])
    await connection.execute("BEGIN")
    await advance(connection, entries)
    assert (await database.model(name), await database.checkpoint(name)) == ([], 0)
    await connection.execute("ROLLBACK")
    assert (await database.model(name), await database.checkpoint(name)) == ([], 0)
    await connection.execute("BEGIN")
    await advance(connection, entries)
    await connection.execute("COMMIT")
    await connection.close()
    assert await database.model(name)
    assert await database.checkpoint(name) == entries.stop


async def test_of_two_projectors_one_comes_first(database: LogDatabase) -> None:
    await database.write(random_history(4, steps=50))
    first, second = await database.connect(), await database.connect()
    lots = PROJECTIONS["lots"]
    [entries] = await read_behind(first, [Generation(lots, 1)])
    await first.execute("BEGIN")
    await advance(first, entries)
    taking = asyncio.create_task(take_in(second, entries))
    await until_waiting(database)
    await first.execute("COMMIT")
    before = await database.model("lots")
    assert not await taking
    assert await database.model("lots") == before
    await first.close()
    await second.close()


async def test_the_second_projector_goes_on_if_the_first_one_dies(database: LogDatabase) -> None:
    await database.write(random_history(4, steps=50))
    first, second = await database.connect(), await database.connect()
    lots = PROJECTIONS["lots"]
    [entries] = await read_behind(first, [Generation(lots, 1)])
    await first.execute("BEGIN")
    await advance(first, entries)
    taking = asyncio.create_task(take_in(second, entries))
    await until_waiting(database)
    first.terminate()
    assert await taking
    await second.close()
    assert await database.checkpoint("lots") == entries.stop


async def test_a_range_ends_where_it_was_said_to_end(database: LogDatabase) -> None:
    """Each statement sees more of the log than the one before it."""
    history = HistoryBuilder().create("wal_a").topup("wal_a", 30).topup("wal_a", 10)
    await database.write(history, 2)
    connection = await database.connect()
    wallets = PROJECTIONS["wallets"]
    [entries] = await read_behind(connection, [Generation(wallets, 1)])
    created, changed = filling([Generation(wallets, 1)])
    async with connection.transaction():
        await connection.execute(projector._QUERIES["advance"], "wallets", 1, 0, 0, 2)
        await connection.execute(created, 0, 0, entries.stop)
        await database.write(history)
        await connection.execute(changed, 0, 0, entries.stop)
    await connection.close()
    [row] = await database.model("wallets")
    assert row[7] == 30


async def test_a_refused_statement_fails_its_transaction(database: LogDatabase) -> None:
    await database.write(HistoryBuilder().create("wal_a"))
    connection = await database.connect()
    wallets = PROJECTIONS["wallets"]
    [entries] = await read_behind(connection, [Generation(wallets, 1)])
    created, changed = filling([Generation(wallets, 1)])
    assert await take_in(connection, entries)
    await connection.execute("BEGIN")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(created, 0, 0, 1)
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await connection.execute(changed, 0, 0, 1)
    # says nothing, and does nothing
    await connection.execute("COMMIT")
    assert await read_behind(connection, [Generation(wallets, 1)]) == []
    await connection.close()


async def test_models_at_the_same_place_share_a_range(database: LogDatabase) -> None:
    history = HistoryBuilder().create("wal_a").topup("wal_a", 30).debit("wal_a", 5)
    await database.write(history)
    connection = await database.connect()
    assert await read_behind(connection, ALL, 2) == [Range(ALL, 0, 0, 2, 3)]
    assert await take_in(connection, Range((LOTS, WALLETS), 0, 0, 2, 3))
    assert await read_behind(connection, ALL, 2) == [
        Range((LOTS, WALLETS), 0, 2, 3, 3),
        Range((POSTINGS, TRANSACTIONS), 0, 0, 2, 3),
    ]
    # at the end of the log they meet again
    for _ in range(2):
        for entries in await read_behind(connection, ALL, 2):
            assert await take_in(connection, entries)
    assert await read_behind(connection, ALL) == []
    await database.write(history.topup("wal_a", 1))
    assert await read_behind(connection, ALL) == [Range(ALL, 0, 3, 4, 4)]
    await connection.close()


@pytest.mark.parametrize("ahead", ALL, ids=sorted(NAMES))
async def test_models_take_a_range_in_together_or_not_at_all(
    database: LogDatabase, ahead: Generation
) -> None:
    await database.write(random_history(5, steps=60))
    connection = await database.connect()
    [entries] = await read_behind(connection, ALL)
    assert await take_in(connection, entries._replace(models=(ahead,), stop=10))
    before = await state(database)
    assert not await take_in(connection, entries)
    assert await state(database) == before
    await connection.close()


@pytest.mark.parametrize("refusing", [POSTINGS, TRANSACTIONS, WALLETS], ids=lambda m: m[0].name)
async def test_what_one_model_refuses_no_other_has_taken_in(
    database: LogDatabase, refusing: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.write(random_history(5, steps=60))
    connection = await database.connect()
    [entries] = await read_behind(connection, ALL)
    # it has the rows, and its checkpoint does not say so any more
    assert await take_in(connection, entries._replace(models=(refusing,)))
    unguarded = projector._QUERIES["advance"].replace("position = $4", "$4::bigint IS NOT NULL")
    monkeypatch.setitem(projector._QUERIES, "advance", unguarded)
    before = await state(database)
    with pytest.raises(asyncpg.UniqueViolationError):
        await take_in(connection, entries)
    assert await state(database) == before
    await connection.close()


async def test_two_projectors_come_to_the_checkpoints_in_the_same_order(
    database: LogDatabase,
) -> None:
    """Whatever order they name the models in: or each could wait for what the other one holds."""
    await database.write(random_history(4, steps=50))
    first, second, third = [await database.connect() for _ in range(3)]
    [entries] = await read_behind(first, ALL)
    await first.execute("BEGIN")
    await advance(first, entries._replace(models=(LOTS,)))
    taking = asyncio.create_task(take_in(second, entries._replace(models=(WALLETS, LOTS))))
    await until_waiting(database)
    # it waits for the lots, and has not come to the wallets yet
    async with asyncio.timeout(10):
        assert await take_in(third, entries._replace(models=(WALLETS,)))
    await first.execute("COMMIT")
    assert not await taking
    for connection in (first, second, third):
        await connection.close()
    assert await database.checkpoint("lots") == entries.stop
    assert await database.checkpoint("wallets") == entries.stop
