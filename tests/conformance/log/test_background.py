"""What is read and written off the hot path: pages, timers, dead letters, tiles."""

from datetime import timedelta

import asyncpg
import pytest

from engine.log import ShardLog, Snapshot
from engine.merkle import Tile
from schemas.instants import utc_now
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.writing import Writer, dead_letter, empty
from tests.support.payloads import create


async def test_entries_are_read_in_pages(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = await writer.append(*(create(f"wal_{number}") for number in range(5)))
        pages = [
            [entry.position for entry in await log.read_entries(*page)]
            for page in ((0, 5, 9), (1, 3, 9), (0, 5, 2), (4, 9, 9), (5, 9, 9), (3, 1, 9))
        ]
        [entry] = await log.read_entries(2, 3, 1)
    assert pages == [[0, 1, 2, 3, 4], [1, 2], [0, 1], [4], [], []]
    append = batch.append
    assert entry.data == append.data[2]
    assert (entry.wallet_id, entry.type, entry.occurred_at) == (
        "wal_2",
        "wallet_created",
        append.now,
    )


async def test_large_entries_and_letters_are_read_a_few_at_a_time(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = await writer.append(*(create(f"wal_{number}") for number in range(4)))
        letters = [dead_letter(offset, payload=b"12345", key=b"k") for offset in (9, 8, 7)]
        await log.append(empty(batch.tip, dead_letters=letters))
        sizes = [len(data) for data in batch.append.data]
        found = []
        for bytes_max in (1, sizes[0], sizes[0] + 1, sum(sizes[:3]), sum(sizes)):
            monkeypatch.setattr("engine.log._READ_BYTES_MAX", bytes_max)
            entries = await log.read_entries(0, 4, 9)
            assert [entry.position for entry in entries] == list(range(len(entries)))
            found.append(len(entries))
        assert found == [1, 1, 2, 3, 4]
        found = []
        for bytes_max in (1, 6, 7, 18):
            monkeypatch.setattr("engine.log._READ_BYTES_MAX", bytes_max)
            rows = await log.unpublished_dead_letters(9)
            assert [row["record_offset"] for row in rows] == [7, 8, 9][: len(rows)]
            found.append(len(rows))
        assert found == [1, 1, 2, 3]


async def test_what_has_run_out_comes_the_earliest_first(database: LogDatabase) -> None:
    now = utc_now()
    places = [
        (now + timedelta(seconds=seconds), wallet_id)
        for seconds, wallet_id in ((2, "wal_1"), (-1, "wal_2"), (-2, "wal_3"), (-1, "wal_10"))
    ]
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        assert await log.next_due() is None
        assert await log.read_due(now, 9) == []
        await log.append(empty(writer.tip, due_added=set(places)))
        assert await log.next_due() == places[2][0]
        assert await log.read_due(now, 9) == [places[2], places[3], places[1]]
        assert await log.read_due(now, 2) == [places[2], places[3]]
        # to the microsecond, itself included
        assert await log.read_due(places[2][0], 9) == [places[2]]
        assert await log.read_due(places[2][0] - timedelta(microseconds=1), 9) == []


async def test_dead_letters_wait_until_they_are_published(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        letters = [dead_letter(offset) for offset in (5, 1, 3)]
        letters.append(dead_letter(4, key=None, payload=None, reason="null_value"))
        append = empty(writer.tip, dead_letters=letters)
        await log.append(append)
        rows = await log.unpublished_dead_letters(9)
        assert [row["record_offset"] for row in rows] == [1, 3, 4, 5]
        assert dict(rows[2]) == {
            "record_offset": 4,
            "reason": "null_value",
            "detail": "no",
            "occurred_at": append.now,
            "key": None,
            "payload": None,
        }
        assert len(await log.unpublished_dead_letters(2)) == 2
        await log.mark_dead_letters_published([1, 5, 77])
        rows = await log.unpublished_dead_letters(9)
        assert [row["record_offset"] for row in rows] == [3, 4]
    published = [(row[0], row[-1]) for row in (await database.contents()).dead_letters]
    assert published == [(1, True), (3, False), (4, False), (5, True)]


async def test_the_last_tile_of_each_level_is_where_to_go_on(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        assert await log.partial_tiles() == []
        await log.save_tiles([Tile(0, 0, b"full"), Tile(0, 10, b"ten"), Tile(1, 0, b"up")])
        await log.save_tiles([Tile(0, 9, b"nine")])
        assert await log.partial_tiles() == [Tile(0, 10, b"ten"), Tile(1, 0, b"up")]


async def test_a_wider_tile_replaces_a_narrower_one(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        for hashes, kept in ((b"ab", b"ab"), (b"a", b"ab"), (b"xy", b"ab"), (b"abc", b"abc")):
            await log.save_tiles([Tile(0, 0, hashes)])
            assert await log.partial_tiles() == [Tile(0, 0, kept)]


async def _save_snapshots_twice(log: ShardLog) -> None:
    snapshot = Snapshot(wallet_id="wal_1", version=1, position=0, leaf_hash=b"h", state=b"s")
    await log.save_snapshots([snapshot, snapshot])


async def _save_tiles_twice(log: ShardLog) -> None:
    await log.save_tiles([Tile(0, 0, b"a"), Tile(0, 1, b"b"), Tile(0, 0, b"ab")])


@pytest.mark.parametrize("save", [_save_snapshots_twice, _save_tiles_twice])
async def test_one_statement_cannot_write_a_row_twice(database: LogDatabase, save) -> None:
    async with shard_log(database) as log:
        with pytest.raises(asyncpg.CardinalityViolationError):
            await save(log)
    contents = await database.contents()
    assert (contents.snapshots, contents.tiles) == ([], [])


async def test_only_the_owner_says_why_it_stopped(database: LogDatabase) -> None:
    async with shard_log(database) as before, shard_log(database) as after:
        await before.claim("before")
        await before.halt("first")
        await after.claim("after")
        await before.halt("late")
        assert (await database.contents()).shard["halted"] is None
        await after.halt("second")
    assert (await database.contents()).shard["halted"] == "second"
