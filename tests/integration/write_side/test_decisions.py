"""Commands in from Kafka, one durable outcome each."""

import pytest

from schemas.events import Closed, CommandRejected, Debited, ToppedUp, WalletCreated, WrittenOff
from tests.support.engines import Service
from tests.support.payloads import create, debit, payload, topup

W = "wal_a1"


async def test_a_command_becomes_an_entry_and_an_event(running: Service) -> None:
    async with running.engine():
        await running.send_commands(
            create(W), topup(W, "t1", 1_000), debit(W, "d1", 400), wallet_id=W
        )
        await running.decided()
        await running.until("SELECT published = position FROM shards WHERE shard = 0")
    created, topped_up, debited = [entry.event for entry in await running.entries()]
    assert isinstance(created, WalletCreated)
    assert isinstance(topped_up, ToppedUp)
    assert isinstance(debited, Debited)
    assert (debited.balance_before, debited.balance_after) == (1_000, 600)
    rows = await running.database.fetch("SELECT data FROM log ORDER BY position")
    published = (await running.published())[0]
    assert [record.value for record in published] == [row["data"] for row in rows]


@pytest.mark.parametrize("together", [True, False])
async def test_same_reference_and_body_is_decided_once(running: Service, together: bool) -> None:
    commands = [create(W), topup(W, "t1", 1_000), debit(W, "d1", 400), debit(W, "d1", 400)]
    async with running.engine(batch_commands_max=1_000 if together else 1):
        await running.send_commands(*commands, wallet_id=W)
        await running.decided()
    assert len(await running.entries()) == 3


async def test_close_writes_off_what_is_left_in_an_entry_of_its_own(running: Service) -> None:
    async with running.engine():
        await running.send_commands(
            create(W), topup(W, "t1", 70), payload("close", W, "c1"), wallet_id=W
        )
        await running.decided()
    *_, written_off, closed = await running.entries()
    assert isinstance(written_off.event, WrittenOff)
    assert isinstance(closed.event, Closed)
    assert (written_off.last, closed.last) == (False, True)
    assert written_off.command_id != closed.command_id


async def test_rejection_is_an_entry_and_stays_one(running: Service) -> None:
    async with running.engine():
        await running.send_commands(create(W), debit(W, "d1", 400), wallet_id=W)
        await running.send_commands(topup(W, "t1", 1_000), debit(W, "d1", 400), wallet_id=W)
        await running.decided()
    entries = await running.entries()
    assert len(entries) == 3
    assert isinstance(entries[1].event, CommandRejected)
    assert entries[1].event.code == "insufficient_funds"
