"""A claim takes the shard over, and says where it stands."""

import pytest

from engine.errors import LeaseLostError, ShardHaltedError
from engine.merkle import leaf_hashes, root_of
from schemas.entries import SCHEMA_VERSION
from tests.conformance.log.databases import SHARDS, LogDatabase, shard_log
from tests.conformance.log.writing import Writer, empty, tip_of
from tests.support.payloads import create, topup


async def test_a_claim_gives_the_row_as_the_last_append_left_it(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"), create("wal_2"))
        batch = await writer.append(topup("wal_1", "t", 5))
        await log.append(empty(batch.tip, published=2))
        row = await log.claim("b")
    contents = await database.contents()
    assert (row.shard, row.epoch) == (0, 2)
    assert (row.next_offset, row.position, row.published) == (3, 3, 2)
    assert row.last_record == batch.append.last_record
    assert row.frontier.root() == root_of(leaf_hashes(entry[-1] for entry in contents.log))
    assert row.last_at > batch.append.now
    assert contents.shard["owner"] == "b"


async def test_each_claim_draws_a_lease_and_counts_an_epoch(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        rows = [await log.claim("a") for _ in range(3)]
    assert len({row.lease for row in rows}) == 3
    assert [row.epoch for row in rows] == [1, 2, 3]


async def test_the_first_claim_starts_from_nothing(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        row = await log.claim("a")
    assert (row.next_offset, row.position, row.published, row.tree) == (0, 0, 0, b"")
    assert row.last_record is None
    assert row.last_at.timestamp() == 0


async def test_an_unknown_shard_is_not_claimed(database: LogDatabase) -> None:
    async with shard_log(database, SHARDS) as log:
        with pytest.raises(ShardHaltedError) as caught:
            await log.claim("a")
    assert caught.value.code == "shard_unknown"


async def test_a_shard_that_a_newer_release_wrote_is_not_claimed(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await database.set_shard(schema_version=SCHEMA_VERSION + 1)
        with pytest.raises(ShardHaltedError) as caught:
            await log.claim("b")
        assert caught.value.code == "newer_release"
        # the lease of before holds, and what it writes does not lower the version
        await writer.append(create("wal_1"))
    row = (await database.contents()).shard
    assert (row["epoch"], row["owner"]) == (1, "a")
    assert row["schema_version"] == SCHEMA_VERSION + 1


async def test_a_claim_takes_back_what_the_owner_before_said_of_its_end(
    database: LogDatabase,
) -> None:
    async with shard_log(database) as log:
        await log.claim("a")
        await log.halt("a reason")
        assert (await database.contents()).shard["halted"] == "a reason"
        await log.claim("b")
    assert (await database.contents()).shard["halted"] is None


async def test_a_zombie_writes_nothing_and_has_no_say(database: LogDatabase) -> None:
    async with shard_log(database) as zombies, shard_log(database) as owners:
        zombie = await Writer.claiming(zombies, "zombie")
        late = zombie.decide(create("wal_1"))
        row = await owners.claim("owner")
        # epochs are for people: a restore can bring them round again
        await database.set_shard(epoch=1)
        with pytest.raises(LeaseLostError):
            await zombies.append(late.append)
        await zombies.halt("a zombie has no say")
        contents = await database.contents()
        assert (contents.log, contents.shard["halted"]) == ([], None)
        await owners.append(Writer(owners, row).decide(create("wal_2")).append)
    assert [entry[1] for entry in (await database.contents()).log] == ["wal_2"]


async def test_shards_are_claimed_apart(database: LogDatabase) -> None:
    async with shard_log(database, 0) as first, shard_log(database, 1) as second:
        writer = await Writer.claiming(first)
        other = await second.claim("b")
        await writer.append(create("wal_1"))
        await second.append(empty(tip_of(other), to_offset=9))
    contents = [await database.contents(shard) for shard in (0, 1)]
    assert [each.shard["next_offset"] for each in contents] == [1, 9]
    assert [len(each.log) for each in contents] == [1, 0]
