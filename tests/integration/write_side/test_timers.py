"""Timers make expiry visible; what a lot is worth never depends on them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from engine.log import Append, ShardLog
from schemas.digests import expiry_id
from schemas.events import CommandRejected, Expired
from tests.support.engines import Service
from tests.support.payloads import create, credit, debit, payload, topup

W = "wal_a1"
GONE = "SELECT count(*) = 0 FROM due"
CREDIT_IS_OVER = GONE + " HAVING EXISTS (SELECT FROM log WHERE type = 'credited')"


def soon(seconds: float = 2.0) -> str:
    """A moment to come when a credit is decided, given that its shard is claimed."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class Timers:
    """Timers that see nothing of what is due until they are let loose."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = True
        working = ShardLog.read_due

        async def read_due(log: ShardLog, *arguments: Any) -> Any:
            return [] if self.held else await working(log, *arguments)

        monkeypatch.setattr(ShardLog, "read_due", read_due)


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


async def open_wallets(running: Service, *wallet_ids: str) -> None:
    """Create them and wait: the first commands also wait for the claim, however long it takes."""
    for wallet_id in wallet_ids:
        await running.send_commands(create(wallet_id), wallet_id=wallet_id)
    await running.decided()


async def until_due(running: Service) -> None:
    await running.until("SELECT max(at) <= clock_timestamp() FROM due")


async def test_a_clock_set_back_while_timers_are_read_loses_none(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(seconds=0.8)
    working = ShardLog.read_due

    async def read_due(log: ShardLog, *arguments: Any) -> Any:
        nonlocal ahead
        due = await working(log, *arguments)
        if due:
            ahead = timedelta(0)
        return due

    monkeypatch.setattr(ShardLog, "read_due", read_due)
    async with running.engine(clock=lambda: datetime.now(UTC) + ahead):
        await open_wallets(running, W)
        await running.send_commands(credit(W, "c", 5, expires_at=soon(3)), wallet_id=W)
        await running.until(CREDIT_IS_OVER)
    assert [type(entry.event) for entry in await running.entries()][2:] == [Expired]


async def test_what_has_expired_is_told_and_the_offset_stays(running: Service) -> None:
    async with running.engine():
        await open_wallets(running, W)
        await running.send_commands(
            credit(W, "c", 5, expires_at=soon()), topup(W, "t", 7), wallet_id=W
        )
        await running.decided()
        await running.until("SELECT count(*) = 1 FROM log WHERE type = 'expired'")
        await running.until(GONE)
        await running.until("SELECT published = position FROM shards WHERE shard = 0")
    expired = (await running.entries())[3]
    assert isinstance(expired.event, Expired)
    assert (expired.event.balance_before, expired.event.balance_after) == (12, 7)
    assert expired.occurred_at >= expired.event.expires_at
    assert (expired.offset, expired.last, expired.body_digest) == (None, True, None)
    assert expired.command_id == expiry_id(W, 2).hex()
    assert (await running.shard())["next_offset"] == 3


@pytest.mark.parametrize("outcome", ["debited", "refused", "closed"])
async def test_a_command_between_the_moment_and_the_timer(
    running: Service, timers: Timers, outcome: str
) -> None:
    command = {
        "debited": debit(W, "x", 7),
        "refused": debit(W, "x", 8),
        "closed": payload("close", W, "x"),
    }[outcome]
    async with running.engine():
        await open_wallets(running, W)
        await running.send_commands(
            credit(W, "c", 5, expires_at=soon()), topup(W, "t", 7), wallet_id=W
        )
        await running.decided()
        await until_due(running)
        await running.send_commands(command, wallet_id=W)
        await running.decided()
        timers.held = False
        await running.until(GONE)
        await running.send_commands(topup(W, "last", 1), wallet_id=W)
        await running.decided()
    entries = await running.entries()
    assert [entry.position for entry in entries] == list(range(len(entries)))
    assert sum(isinstance(entry.event, Expired) for entry in entries) == 1
    money = [entry.event for entry in entries if hasattr(entry.event, "balance_before")]
    for earlier, later in pairwise(money):
        assert later.balance_before == earlier.balance_after
    outcome_entry = entries[-2]
    if outcome == "refused":
        assert isinstance(outcome_entry.event, CommandRejected)
        assert outcome_entry.event.code == "insufficient_funds"
    assert outcome_entry.offset == entries[3].offset == 3
    assert (entries[3].last, outcome_entry.last) == (False, True)
    assert money[3 if outcome != "refused" else 2].balance_before in {7, 12}


async def test_a_timers_batch_is_bounded(
    running: Service, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.lease.DUE_WALLETS_MAX", 3)
    working = ShardLog.append
    removed: list[int] = []

    async def append(log: ShardLog, batch: Append) -> None:
        if batch.due_removed:
            removed.append(len(batch.due_removed))
        await working(log, batch)

    monkeypatch.setattr(ShardLog, "append", append)
    wallets = [f"wal_{number}" for number in range(10)]
    async with running.engine():
        await open_wallets(running, *wallets)
        at = soon()
        for wallet_id in wallets:
            await running.send_commands(
                credit(wallet_id, "c", 5, expires_at=at), wallet_id=wallet_id
            )
        await running.decided()
        await until_due(running)
        timers.held = False
        await running.until(GONE)
    expired = [entry for entry in await running.entries() if isinstance(entry.event, Expired)]
    assert sorted(entry.wallet_id for entry in expired) == wallets
    assert removed == [3, 3, 3, 1]


async def test_many_lots_of_one_moment_do_not_make_one_endless_batch(
    running: Service, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.batch.ENTRIES_MAX", 10)
    working = ShardLog.append
    sizes: list[int] = []

    async def append(log: ShardLog, batch: Append) -> None:
        sizes.append(len(batch.data))
        await working(log, batch)

    wallets = [f"wal_{number}" for number in range(12)]
    async with running.engine():
        await running.send_commands(*map(create, wallets), wallet_id=W)
        await running.decided()
        at = soon()
        commands = [
            credit(wallet_id, f"c{number}", 5, expires_at=at)
            for wallet_id in wallets
            for number in range(4)
        ]
        await running.send_commands(*commands, wallet_id=W)
        await running.decided()
        await until_due(running)
        monkeypatch.setattr(ShardLog, "append", append)
        # half of them by commands, the rest by the timer
        debits = [debit(wallet_id, "d", 1) for wallet_id in wallets[:6]]
        await running.send_commands(*debits, wallet_id=W)
        await running.decided()
        timers.held = False
        await running.until(GONE)
    assert max(sizes) < 10 + 5
    assert sum(sizes) == 12 * 4 + 6
    entries = await running.entries()
    assert sum(isinstance(entry.event, Expired) for entry in entries) == 12 * 4
    assert [entry.position for entry in entries] == list(range(len(entries)))


async def test_timers_go_on_under_the_next_owner(running: Service, timers: Timers) -> None:
    async with running.engine():
        await open_wallets(running, W)
        await running.send_commands(credit(W, "c", 5, expires_at=soon()), wallet_id=W)
        await running.decided()
        await until_due(running)
    timers.held = False
    async with running.engine():
        await running.until(GONE)
    entries = await running.entries()
    assert isinstance(entries[2].event, Expired)
