"""The compare-and-set of an append: each of its parts refuses what the others would let pass.

Where a test takes a part out of the SQL, the harm is seen: in PostgreSQL, and in the simulation,
which reads the conditions from the same text.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from engine import log as engine_log
from engine.errors import ClockRefusedError, DataRefusedError, LeaseLostError, ShardHaltedError
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.writing import Writer, empty, utc_now
from tests.support.fence import append_without
from tests.support.payloads import create

Unguard = Callable[..., None]


@pytest.fixture
def unguard(monkeypatch: pytest.MonkeyPatch) -> Unguard:
    """Takes parts out of the fence."""

    def take_out(*conditions: str) -> None:
        monkeypatch.setitem(engine_log._QUERIES, "append", append_without(*conditions))

    return take_out


async def test_the_lease(database: LogDatabase, unguard: Unguard) -> None:
    async with shard_log(database) as zombies, shard_log(database) as owners:
        zombie = await Writer.claiming(zombies)
        await owners.claim("b")
        late = zombie.decide(create("wal_1")).append
        with pytest.raises(LeaseLostError):
            await zombies.append(late)
        await zombies.halt("a zombie has no say")
        contents = await database.contents()
        assert (contents.log, contents.shard["halted"]) == ([], None)
        unguard("lease")
        await zombies.append(late)
    assert len((await database.contents()).log) == 1


async def test_the_start(database: LogDatabase, unguard: Unguard) -> None:
    """A batch that begins further on leaves out commands, and nothing else would notice."""
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        ahead = empty(writer.tip, from_offset=5, to_offset=6)
        with pytest.raises(ShardHaltedError) as caught:
            await log.append(ahead)
        assert caught.value.code == "stale_batch"
        assert (await database.contents()).shard["next_offset"] == 1
        unguard("next_offset")
        await log.append(ahead)
    assert (await database.contents()).shard["next_offset"] == 6


async def test_the_position(database: LogDatabase, unguard: Unguard) -> None:
    """A timer's append does not move the offset, and would pass a second time."""
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        timer = writer.decide(create("wal_1")).append
        timer.to_offset = timer.from_offset
        await log.append(timer)
        before = await database.contents()
        with pytest.raises(ShardHaltedError) as caught:
            await log.append(timer)
        assert caught.value.code == "stale_batch"
        unguard("position")
        # the key is the second line of defence, and tells another story
        with pytest.raises(DataRefusedError, match="log_pkey"):
            await log.append(timer)
        assert await database.contents() == before
        bare = empty(writer.tip, now=timer.now)
        await log.append(bare)
    assert (await database.contents()).shard["position"] == 0


@pytest.mark.parametrize(("seconds", "fits"), [(-7, False), (-1, True), (0.5, True), (8, False)])
async def test_the_clock(
    database: LogDatabase, unguard: Unguard, seconds: float, fits: bool
) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        moment = utc_now() + timedelta(seconds=seconds)
        batch = writer.decide(create("wal_1"), now=moment).append
        if not fits:
            with pytest.raises(ClockRefusedError, match="NTP"):
                await log.append(batch)
            assert (await database.contents()).log == []
            unguard("clock")
        await log.append(batch)
    contents = await database.contents()
    assert len(contents.log) == 1
    assert contents.shard["last_at"] == moment


async def test_what_is_refused_leaves_nothing(database: LogDatabase) -> None:
    async with shard_log(database) as zombies, shard_log(database) as owners:
        zombie = await Writer.claiming(zombies)
        writer = await Writer.claiming(owners)
        await writer.append(create("wal_1"))
        before = await database.contents()
        for stale in (
            zombie.decide(create("wal_2")).append,
            empty(writer.tip, from_offset=0, to_offset=9),
            empty(writer.tip, from_position=0),
            empty(writer.tip, now=utc_now() - timedelta(seconds=60)),
        ):
            log = zombies if stale.data else owners
            with pytest.raises((LeaseLostError, ShardHaltedError, ClockRefusedError)):
                await log.append(stale)
        assert await database.contents() == before


@pytest.mark.parametrize("missing", [(), ("next_offset",), ("position",)])
async def test_the_later_of_two_appends_cannot_go_first(
    database: LogDatabase, unguard: Unguard, missing: tuple[str, ...]
) -> None:
    unguard(*missing)
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        first = writer.decide(create("wal_1"))
        writer.moved(first)
        second = writer.decide(create("wal_2"))
        with pytest.raises(ShardHaltedError) as caught:
            await log.append(second.append)
        assert caught.value.code == "stale_batch"
        await log.append(first.append)
        await log.append(second.append)
    assert [row[1] for row in (await database.contents()).log] == ["wal_1", "wal_2"]


async def test_without_both_the_later_of_two_appends_swallows_the_first(
    database: LogDatabase, unguard: Unguard
) -> None:
    unguard("next_offset", "position")
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        writer.moved(writer.decide(create("wal_1")))
        await log.append(writer.decide(create("wal_2")).append)
    contents = await database.contents()
    assert [row[1] for row in contents.log] == ["wal_2"]
    assert contents.shard["next_offset"] == 2
