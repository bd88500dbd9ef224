"""Whatever a sender can write: one outcome each, and the next good command is decided."""

from typing import Any

import pytest

from engine import lease
from engine.events_topic import EventRecord
from engine.fit import register_topology
from engine.log import Append, ShardLog
from engine.producing import RECORD_BATCH_BYTES_MAX, ShardProducer
from engine.receipts import DeadLettered, Receipt, Rejected, resolve
from schemas.commands import decode_command
from schemas.events import CommandRejected
from tests.support.bad_payloads import BAD
from tests.support.batches import NOON
from tests.support.engines import Service
from tests.support.payloads import create, credit, debit, topup

W = "wal_a1"


async def test_everything_bad_is_one_dead_letter_and_good_commands_go_on(
    running: Service,
) -> None:
    await running.send(create(W))
    places: dict[str, tuple[int, int]] = {}
    async with running.engine(batch_commands_max=8):
        for number, (name, (bad, _)) in enumerate(BAD.items()):
            places[name] = await running.send(bad, key=b"\xff")
            await running.send(topup(W, f"after {number}", 1))
        await running.decided()
        found = {
            name: await resolve(running.database, Receipt(None, *place))
            for name, place in places.items()
        }
    for name, (_, reason) in BAD.items():
        letter = found[name]
        assert isinstance(letter, DeadLettered), name
        assert letter.reason == reason, name
    letters = await running.database.fetch(
        'SELECT payload, key FROM dead_letters ORDER BY "offset"'
    )
    assert [row["payload"] for row in letters] == [bad for bad, _ in BAD.values()]
    entries = await running.entries()
    assert len(entries) == 1 + len(BAD)
    assert [entry.event.balance_after for entry in entries[1:]] == list(range(1, len(BAD) + 1))
    assert (await running.shard())["epoch"] == 1


async def test_what_the_rules_refuse_is_a_rejection_with_a_code(running: Service) -> None:
    refused = {
        "wallet_not_found": topup("wal_nobody", "r", 1),
        "expiry_in_past": credit(W, "past", 1, expires_at="2020-01-01T00:00:00Z"),
        "currency_mismatch": topup(W, "usd", 1, currency="USD"),
        "balance_overflow": topup(W, "much", 2**63 - 1),
        "insufficient_funds": debit(W, "most", 2**63 - 1),
        "reference_conflict": topup(W, "t", 2),
        "wallet_exists": create(W, "again"),
    }
    async with running.engine():
        await running.send(create(W))
        await running.send(topup(W, "t", 1))
        places = {code: await running.send(command) for code, command in refused.items()}
        # the same again, under another claim
        await running.decided()
    async with running.engine():
        for command in refused.values():
            await running.send(command)
        await running.decided()
        for code, command in refused.items():
            receipt = Receipt(decode_command(command), *places[code])
            found = await resolve(running.database, receipt)
            assert isinstance(found, Rejected)
            assert found.rejection.code == code
    entries = await running.entries()
    rejections = [entry for entry in entries if isinstance(entry.event, CommandRejected)]
    assert len(rejections) == len(refused)
    assert len(entries) == 2 + len(refused)


async def test_another_merchants_command_takes_no_reference(running: Service) -> None:
    foreign = debit(W, "next", 1, merchant_id="mch_other")
    for commands in (
        [create(W), topup(W, "t", 5), foreign, foreign],
        [foreign, debit(W, "next", 1)],
    ):
        async with running.engine():
            await running.send_commands(*commands, wallet_id=W)
            await running.decided()
    *_, refused, debited = entries = await running.entries()
    assert len(entries) == 4
    assert isinstance(refused.event, CommandRejected)
    assert (refused.event.code, refused.merchant_id) == ("wallet_not_found", None)
    assert debited.event.balance_after == 4


async def test_large_records_are_taken_a_few_at_a_time(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of thousands of them would take longer than any time-out."""
    monkeypatch.setattr("engine.record_queue.BATCH_BYTES_MAX", 1_000_000)
    monkeypatch.setattr("engine.backlog.HELD_BYTES_MAX", 1_000_000)
    working = ShardLog.append
    sizes: list[int] = []
    held: list[int] = []
    deliver = lease.Lease.deliver

    def watched(self: lease.Lease, records: Any) -> None:
        deliver(self, records)
        held.append(self._backlog.held_bytes)

    async def append(log: ShardLog, batch: Append) -> None:
        sizes.append(sum(len(letter.payload or b"") for letter in batch.dead_letters))
        await working(log, batch)

    monkeypatch.setattr(ShardLog, "append", append)
    monkeypatch.setattr(lease.Lease, "deliver", watched)
    junk = b"\xff" * 300_000
    for _ in range(30):
        await running.producer.send(running.settings.commands_topic, junk, partition=0)
    running.sent.append(await running.send(create(W)))
    async with running.engine():
        await running.decided()
    assert max(sizes) <= 1_000_000
    assert sum(sizes) == 30 * len(junk)
    # one fetch brings at most 2 MiB, after which the partition is paused
    assert 1_000_000 < max(held) < 1_000_000 + 2 * 1024 * 1024
    assert len(await running.entries()) == 1


async def test_the_largest_record_batch_is_taken_by_the_broker(running: Service) -> None:
    await register_topology(running.settings)
    data = b"x" * ((RECORD_BATCH_BYTES_MAX - 20_000) // 50)
    records = [EventRecord(n, W, "debited", NOON, data, n == 49) for n in range(50)]
    producer = await ShardProducer.connect(running.settings, 0)
    try:
        await producer.publish(records)
    finally:
        await producer.close()
    assert [record.value for record in (await running.published())[0]] == [data] * 50
