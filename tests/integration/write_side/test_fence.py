"""One statement stands between the log and everything that can go wrong: the fenced append.

Where a test names a condition, it is run without that condition as well and sees the harm. Each part
of the compare-and-set by itself is tried in `tests/conformance/log/test_fences.py`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from engine import log
from engine.batch import Batch, Tip
from engine.errors import (
    ClockRefusedError,
    DataRefusedError,
    EngineError,
    LeaseLostError,
    ShardHaltedError,
)
from engine.fit import register_topology
from engine.log import ShardLog, ShardRow
from engine.merkle import leaf_hashes, root_of
from schemas.entries import SCHEMA_VERSION
from tests.support.batches import decide_all, records
from tests.support.engines import Service
from tests.support.payloads import create

ANYTHING = {
    "start": ("next_offset = $3", "$3::bigint IS NOT NULL"),
    "position": ("position = $4", "$4::bigint IS NOT NULL"),
    "lease": ("lease = $2", "$2::uuid IS NOT NULL"),
    "clock": (
        "$9 BETWEEN clock_timestamp() - interval '5 s' AND clock_timestamp() + interval '1 s'",
        "$9::timestamptz IS NOT NULL",
    ),
}
Unguard = Callable[..., None]


@pytest.fixture
def unguard(monkeypatch: pytest.MonkeyPatch) -> Unguard:
    """Takes conditions out of the fence."""

    def take_out(*conditions: str) -> None:
        query = log._QUERIES["append"]
        for condition in conditions:
            there, instead = ANYTHING[condition]
            assert there in query
            query = query.replace(there, instead)
        monkeypatch.setitem(log._QUERIES, "append", query)

    return take_out


@asynccontextmanager
async def shard_log(running: Service) -> AsyncIterator[ShardLog]:
    await register_topology(running.settings)
    connected = await ShardLog.connect(0, running.settings)
    try:
        yield connected
    finally:
        connected.close()


def tip_of(row: ShardRow) -> Tip:
    return Tip(row.next_offset, row.last_record, row.position, row.frontier, row.last_at)


def now() -> datetime:
    return datetime.now(UTC)


def batch(tip: Tip, *wallets: str, moment: datetime | None = None) -> Batch:
    payloads = [create(wallet_id) for wallet_id in wallets]
    return decide_all(tip, records(*payloads, first=tip.offset), now=moment or now())


async def test_offset_entries_and_root_move_together(running: Service) -> None:
    async with shard_log(running) as shard:
        first = batch(tip_of(await shard.claim("a")), "wal_1", "wal_2")
        await shard.append(first.append)
        await shard.append(batch(first.tip, "wal_3").append)
        claimed = await shard.claim("a")
    row = await running.shard()
    assert (row["next_offset"], row["position"]) == (3, 3)
    entries = await running.database.fetch("SELECT position, data FROM log ORDER BY position")
    assert [entry["position"] for entry in entries] == [0, 1, 2]
    assert claimed.frontier.root() == root_of(leaf_hashes(entry["data"] for entry in entries))


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_batch_after_a_failed_one_writes_nothing(
    running: Service, unguard: Unguard, guarded: bool
) -> None:
    if not guarded:
        unguard("start", "position")
    async with shard_log(running) as shard:
        failed = batch(tip_of(await shard.claim("a")), "wal_1", "wal_2")
        after_it = batch(failed.tip, "wal_3")
        refused: EngineError | None = None
        try:
            await shard.append(after_it.append)
        except ShardHaltedError as error:
            refused = error
    lost = (await running.shard())["next_offset"] == 3
    assert lost is not guarded
    assert len(await running.entries()) == (0 if guarded else 1)
    assert (refused is not None and refused.code == "stale_batch") is guarded


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_zombie_writes_nothing_once_another_has_claimed(
    running: Service, unguard: Unguard, guarded: bool
) -> None:
    if not guarded:
        unguard("lease")
    async with shard_log(running) as zombie, shard_log(running) as owner:
        row = await zombie.claim("zombie")
        await owner.claim("owner")
        # epochs are for people: a restore can bring them round again
        await running.database.execute("UPDATE shards SET epoch = $1", row.epoch)
        late = batch(tip_of(row), "wal_1")
        if guarded:
            with pytest.raises(LeaseLostError):
                await zombie.append(late.append)
            await zombie.halt("a zombie has no say")
        else:
            await zombie.append(late.append)
    assert (await running.shard())["halted"] is None
    assert len(await running.entries()) == (0 if guarded else 1)


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("seconds", [-60, 60])
async def test_a_moment_far_from_the_databases_appends_nothing(
    running: Service, unguard: Unguard, seconds: int, guarded: bool
) -> None:
    if not guarded:
        unguard("clock")
    async with shard_log(running) as shard:
        moment = now() + timedelta(seconds=seconds)
        off = batch(tip_of(await shard.claim("a")), "wal_1", moment=moment)
        if guarded:
            with pytest.raises(ClockRefusedError, match="NTP"):
                await shard.append(off.append)
        else:
            await shard.append(off.append)
    assert len(await running.entries()) == (0 if guarded else 1)
    assert (await running.shard())["next_offset"] == (0 if guarded else 1)


async def test_refused_data_leaves_nothing_of_the_batch(running: Service) -> None:
    async with shard_log(running) as shard:
        row = await shard.claim("a")
        doubled = batch(tip_of(row), "wal_1", "wal_2")
        doubled.append.command_ids[1] = doubled.append.command_ids[0]
        with pytest.raises(DataRefusedError, match="23505"):
            await shard.append(doubled.append)
        assert await running.entries() == []
        assert (await running.shard())["next_offset"] == 0
        await shard.append(batch(tip_of(row), "wal_1").append)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET data = 'x'",
        "DELETE FROM log",
        "TRUNCATE log",
        "DELETE FROM log WHERE false",
    ],
)
async def test_the_log_is_append_only(running: Service, change: str) -> None:
    async with shard_log(running) as shard:
        await shard.append(batch(tip_of(await shard.claim("a")), "wal_1").append)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await running.database.execute(change)
    assert len(await running.entries()) == 1


async def test_a_shard_that_a_newer_release_wrote_is_not_claimed(running: Service) -> None:
    async with shard_log(running) as shard:
        before = await shard.claim("a")
        await running.database.execute("UPDATE shards SET schema_version = $1", SCHEMA_VERSION + 1)
        with pytest.raises(ShardHaltedError, match="newer release") as caught:
            await shard.claim("b")
    assert caught.value.code == "newer_release"
    assert (await running.shard())["lease"] == before.lease


async def test_published_never_goes_back(running: Service) -> None:
    async with shard_log(running) as shard:
        first = batch(tip_of(await shard.claim("a")), "wal_1")
        await shard.append(first.append)
        for published, expected in ((1, 1), (0, 1)):
            idle = batch(first.tip)
            idle.append.published = published
            await shard.append(idle.append)
            assert (await running.shard())["published"] == expected


async def test_a_stalled_append_lets_go_of_the_row(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process may be stopped for good, and no other time-out sees it."""
    monkeypatch.setitem(log._APPEND_SESSION, "transaction_timeout", "1s")
    async with shard_log(running) as stalled, shard_log(running) as owner:
        row = await stalled.claim("stalled")
        await stalled._append.execute("BEGIN")
        await stalled.append(batch(tip_of(row), "wal_1").append)
        await running.database.execute("SET lock_timeout = '200ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await running.database.execute("UPDATE shards SET halted = NULL")
        monkeypatch.setitem(log._APPEND_SESSION, "transaction_timeout", "10s")
        await owner._append.execute("SET transaction_timeout = '10s'")
        claimed = await owner.claim("owner")
    assert (claimed.next_offset, claimed.position) == (0, 0)
    assert await running.entries() == []


async def test_sessions_fix_what_the_fence_rests_on(running: Service) -> None:
    name = await running.database.fetchval("SELECT quote_ident(current_database())")
    for change in (
        "SET default_transaction_isolation = 'repeatable read'",
        "SET synchronous_commit = off",
        "SET transaction_timeout = 0",
    ):
        await running.database.execute(f"ALTER DATABASE {name} {change}")
    async with shard_log(running) as shard:
        shown = [
            await shard._append.fetchval(f"SHOW {name}")
            for name in ("transaction_isolation", "synchronous_commit", "transaction_timeout")
        ]
    assert shown == ["read committed", "on", f"{log.TRANSACTION_TIMEOUT_S}s"]


async def test_a_lease_is_drawn_not_counted(running: Service) -> None:
    async with shard_log(running) as shard:
        leases = {(await shard.claim("a")).lease for _ in range(3)} | {uuid4()}
        row = await shard.claim("a")
    assert len(leases | {row.lease}) == 5
    assert row.epoch == 4
