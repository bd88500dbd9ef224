"""Partitions come and go: who decides a shard, and who leaves it alone."""

from typing import Any

import pytest
from aiokafka.errors import CommitFailedError

from engine.assignment import Assignment, PartitionMembership
from engine.fit import register_topology
from engine.log import ShardLog
from engine.topology import home
from tests.support.databases import connection_to
from tests.support.engines import Service, wallets_at_home_in
from tests.support.payloads import create, topup
from tests.support.polling import poll

W = "wal_a1"
TOPUPS = 40


@pytest.fixture
def assignments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many partitions each assignment brought, whoever got it."""
    made: list[int] = []
    working = Assignment.on_partitions_assigned

    async def assigned(self: Assignment, places: Any) -> None:
        made.append(len(places))
        await working(self, places)

    monkeypatch.setattr(Assignment, "on_partitions_assigned", assigned)
    return made


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Claims and proofs of membership in their order."""
    taken: list[str] = []
    claim, prove = ShardLog.claim, PartitionMembership.prove

    async def claimed(self: ShardLog, owner: str) -> Any:
        taken.append(f"claim by {owner}")
        return await claim(self, owner)

    async def proven(self: PartitionMembership, offset: int) -> None:
        taken.append("prove")
        await prove(self, offset)
        taken.append("proven")

    monkeypatch.setattr(ShardLog, "claim", claimed)
    monkeypatch.setattr(PartitionMembership, "prove", proven)
    return taken


def spread(partitions: int) -> list[str]:
    """A wallet for each shard."""
    return [next(iter(wallets_at_home_in(shard, partitions))) for shard in range(partitions)]


async def load(running: Service, first: int = 0) -> None:
    for wallet_id in spread(running.partitions):
        topups = [topup(wallet_id, f"t{n}", 1 << n) for n in range(first, first + TOPUPS // 2)]
        commands = topups if first else [create(wallet_id), *topups]
        await running.send_commands(*commands, wallet_id=wallet_id)


async def assert_decided_once_in_order(running: Service) -> None:
    expected = ["create", *(f"t{number}" for number in range(TOPUPS))]
    for shard in range(running.partitions):
        entries = await running.entries(shard)
        assert [entry.event.reference for entry in entries] == expected
        assert [entry.position for entry in entries] == list(range(TOPUPS + 1))


async def test_a_claim_that_waits_for_a_lock_does_not_cost_the_membership(
    running: Service, assignments: list[int]
) -> None:
    settings = running.with_settings(session_timeout_ms=1_000)
    await register_topology(settings)
    await running.send_commands(create(W), wallet_id=W)
    async with connection_to(settings.database_url) as other:
        lock = other.transaction()
        await lock.start()
        await other.execute("SELECT FROM shards FOR UPDATE")
        async with running.engine(session_timeout_ms=1_000) as engine:
            await poll(lambda: assignments)
            await running.until(
                "SELECT clock_timestamp() - max(query_start) > '3 s' FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            assert (await running.shard())["epoch"] == 0
            # the broker refuses this from who is no member
            await engine.assignment._owners[0]._membership.prove(0)
            await lock.rollback()
            await running.decided()
            assert (await running.shard())["epoch"] == 1
    assert assignments == [1]


async def test_a_fenced_member_proves_itself_and_claims_again(
    running: Service, steps: list[str]
) -> None:
    thief = await ShardLog.connect(0, running.settings)
    try:
        async with running.engine("owner"):
            await running.send_commands(create(W), wallet_id=W)
            await running.decided()
            await thief.claim("thief")
            await running.send_commands(topup(W, "t", 5), wallet_id=W)
            await running.decided()
    finally:
        thief.close()
    assert steps[:5] == ["claim by owner", "claim by thief", "prove", "proven", "claim by owner"]
    assert len(await running.entries()) == 2


async def test_who_is_no_member_any_more_does_not_steal_the_shard(
    running: Service, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []

    async def refuse(_: PartitionMembership, offset: int) -> None:
        refused.append(offset)
        raise CommitFailedError

    monkeypatch.setattr(PartitionMembership, "prove", refuse)
    async with running.engine("zombie"):
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        async with running.engine("owner", group=running.settings.group + "2"):
            await running.until("SELECT owner = 'owner' FROM shards WHERE shard = 0")
            await running.send_commands(topup(W, "t", 5), wallet_id=W)
            await running.decided()
            await poll(lambda: len(refused) >= 3)
            assert (await running.shard())["owner"] == "owner"
    assert steps.count("claim by zombie") == 1
    assert len(await running.entries()) == 2


@pytest.mark.parametrize("partitions", [4], indirect=True)
async def test_engines_that_come_and_go_under_load_lose_and_double_nothing(
    running: Service, assignments: list[int]
) -> None:
    small = {"batch_commands_max": 3}
    await load(running)
    async with running.engine("first", **small) as first:
        await running.until("SELECT max(next_offset) > 5 FROM shards")
        async with running.engine("second", **small):
            await poll(lambda: assignments.count(2) >= 2)
            await load(running, TOPUPS // 2)
            await running.until("SELECT count(DISTINCT owner) = 2 FROM shards")
            await first.stop()
            await running.decided()
            await running.until("SELECT bool_and(published = position) FROM shards")
    await assert_decided_once_in_order(running)
    for shard, records in (await running.published()).items():
        rows = await running.database.fetch(
            "SELECT data FROM log WHERE shard = $1 ORDER BY position", shard
        )
        seen = list(dict.fromkeys(record.value for record in records))
        assert seen == [row["data"] for row in rows]


@pytest.mark.parametrize("partitions", [2], indirect=True)
async def test_one_shard_waits_and_the_other_goes_on(running: Service) -> None:
    waiting, going = spread(2)
    assert (home(waiting, 2), home(going, 2)) == (0, 1)
    async with (
        connection_to(running.settings.database_url) as other,
        running.engine(queue_commands_max=5, batch_commands_max=5),
    ):
        await running.until("SELECT bool_and(epoch = 1) FROM shards")
        lock = other.transaction()
        await lock.start()
        await other.execute("SELECT FROM shards WHERE shard = 0 FOR UPDATE")
        await load(running)
        await running.until("SELECT next_offset = $1 FROM shards WHERE shard = 1", TOPUPS // 2 + 1)
        assert (await running.shard(0))["next_offset"] == 0
        await lock.rollback()
        await load(running, TOPUPS // 2)
        await running.decided()
    await assert_decided_once_in_order(running)


@pytest.mark.parametrize("partitions", [2], indirect=True)
async def test_a_halted_shard_leaves_the_other_working(running: Service) -> None:
    async with running.engine():
        await load(running)
        await running.decided()
    await running.database.execute("UPDATE shards SET last_record = 'other' WHERE shard = 0")
    async with running.engine():
        await load(running, TOPUPS // 2)
        await running.until("SELECT halted IS NOT NULL FROM shards WHERE shard = 0")
        await running.until("SELECT next_offset = $1 FROM shards WHERE shard = 1", TOPUPS + 1)
    assert (await running.shard(0))["next_offset"] == TOPUPS // 2 + 1


async def test_leaving_is_told_to_the_group_at_once(
    running: Service, assignments: list[int]
) -> None:
    """Otherwise the partition would have no owner for the whole session time-out."""
    session = {"session_timeout_ms": 12_000}
    async with running.engine("first", **session) as first:
        await poll(lambda: assignments)
        async with running.engine("second", **session):
            await poll(lambda: len(assignments) == 3)
            await first.stop()
            await running.send(create(W))
            await running.decided(timeout_s=8)
    assert (await running.shard())["owner"] == "second"
