"""One statement stands between the log and everything that can go wrong: the fenced append.

What it rests on in PostgreSQL itself; the conditions of its compare-and-set are tried, and taken out
one by one, in `tests/conformance/log/test_fences.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from engine import log
from engine.batch import Batch, Tip
from engine.errors import (
    DataRefusedError,
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


def batch(tip: Tip, *wallets: str) -> Batch:
    payloads = [create(wallet_id) for wallet_id in wallets]
    return decide_all(tip, records(*payloads, first=tip.offset), now=datetime.now(UTC))


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


async def test_a_zombie_writes_nothing_though_epochs_come_round_again(running: Service) -> None:
    async with shard_log(running) as zombie, shard_log(running) as owner:
        row = await zombie.claim("zombie")
        await owner.claim("owner")
        # as after a restore
        await running.database.execute("UPDATE shards SET epoch = $1", row.epoch)
        with pytest.raises(LeaseLostError):
            await zombie.append(batch(tip_of(row), "wal_1").append)
    assert await running.entries() == []


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
