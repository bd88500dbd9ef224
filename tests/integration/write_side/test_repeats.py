"""Repeats that nobody expected: small batches are decided without asking the log for them."""

import pytest

from engine.foresight import CAREFUL_BATCHES
from engine.log import ShardLog
from tests.support.engines import Service
from tests.support.payloads import create, debit, topup

W = "wal_a1"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ids each look-up asked for."""
    asked: list[int] = []
    find = ShardLog.find_outcomes

    async def counted(log: ShardLog, ids: list[bytes]) -> dict[bytes, bytes]:
        asked.append(len(ids))
        return await find(log, ids)

    monkeypatch.setattr(ShardLog, "find_outcomes", counted)
    return asked


async def test_what_comes_alone_and_new_is_not_looked_up(
    running: Service, looks: list[int]
) -> None:
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        for number in range(5):
            await running.send_commands(topup(W, f"t{number}", 1), wallet_id=W)
            await running.decided()
    assert looks == []
    assert len(await running.entries()) == 6


async def test_a_repeat_of_long_ago_leaves_nothing_and_its_neighbours_count(
    running: Service, looks: list[int]
) -> None:
    async with running.engine():
        for command in (create(W), topup(W, "t", 5), topup(W, "u", 1)):
            await running.send_commands(command, wallet_id=W)
            await running.decided()
        await running.send_commands(
            debit(W, "d", 2), topup(W, "t", 5), topup(W, "t", 6), debit(W, "e", 2), wallet_id=W
        )
        await running.decided()
    assert looks
    assert (await running.shard())["epoch"] == 1, "the batch was decided again under another lease"
    entries = await running.entries()
    assert [entry.position for entry in entries] == list(range(6))
    assert [getattr(entry.event, "reference", None) for entry in entries[:5]] == [
        *("create", "t", "u"),
        *("d", None),
    ]
    assert entries[4].event.code == "reference_conflict"
    assert entries[5].event.balance_after == 2
    assert await running.database.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_after_a_repeat_the_log_is_asked_for_a_while(
    running: Service, looks: list[int]
) -> None:
    async with running.engine():
        for command in (create(W), topup(W, "t", 5), topup(W, "u", 5), topup(W, "t", 5)):
            await running.send_commands(command, wallet_id=W)
            await running.decided()
        looks.clear()
        for number in range(CAREFUL_BATCHES + 5):
            await running.send_commands(debit(W, f"d{number}", 9), wallet_id=W)
            await running.decided()
    assert CAREFUL_BATCHES - 1 <= len(looks) <= CAREFUL_BATCHES
