"""What the database, the log or the decider will not take, and how little else it may cost."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import batch
from schemas.digests import command_id
from schemas.entries import Entry, encode_entry
from schemas.events import Debited, WalletEvent
from tests.support.batches import NOON
from tests.support.engines import Service
from tests.support.payloads import create, credit, topup
from tests.support.polling import poll

W = "wal_a1"
BAD = "wal_bad"

_REFUSE = """
CREATE FUNCTION refuse_bad() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.wallet_id = '{wallet_id}' AND NEW.type = '{kind}' THEN
        RAISE EXCEPTION 'this is refused' USING ERRCODE = '{code}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_bad BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION refuse_bad();
"""


async def refuse(running: Service, kind: str, code: str) -> None:
    """Let the database refuse entries of this kind of one wallet."""
    await running.database.execute(_REFUSE.format(wallet_id=BAD, kind=kind, code=code))


@pytest.mark.parametrize("code", ["22021", "23514", "54000"])
async def test_refused_data_costs_the_commands_that_hold_it(running: Service, code: str) -> None:
    await refuse(running, "topped_up", code)
    commands = [create(W), create(BAD)]
    for number in range(40):
        commands.append(topup(W, f"t{number}", 1))
        if number in (3, 4, 30):
            commands.append(topup(BAD, f"t{number}", 1))
    for command in commands:
        await running.producer.send(running.settings.commands_topic, command, partition=0)
    await running.producer.flush()
    running.sent.append((0, len(commands) - 1))
    async with running.engine(batch_commands_max=16):
        await running.decided()
        await running.until("SELECT published = position FROM shards WHERE shard = 0")
    entries = await running.entries()
    assert [entry.position for entry in entries] == list(range(42))
    assert [entry.event.reference for entry in entries if entry.wallet_id == W] == [
        "create",
        *(f"t{number}" for number in range(40)),
    ]
    letters = await running.database.fetch(
        'SELECT "offset", reason, detail, payload FROM dead_letters ORDER BY "offset"'
    )
    assert [letter["reason"] for letter in letters] == ["refused_by_database"] * 3
    assert [letter["payload"] for letter in letters] == [
        topup(BAD, f"t{number}", 1) for number in (3, 4, 30)
    ]
    assert all("this is refused" in letter["detail"] for letter in letters)
    assert (await running.shard())["epoch"] == 1, "the batch was retried under another lease"


async def test_an_expiry_that_is_refused_does_not_keep_commands_from_their_turn(
    running: Service,
) -> None:
    await refuse(running, "expired", "23514")
    at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    async with running.engine():
        await running.send_commands(create(W), credit(W, "c", 5, expires_at=at), wallet_id=W)
        await running.send_commands(create(BAD), credit(BAD, "c", 5, expires_at=at), wallet_id=W)
        await running.until("SELECT count(*) = 1 FROM log WHERE type = 'expired'")
        for number in range(3):
            await running.send_commands(topup(W, f"t{number}", 5), wallet_id=W)
            await running.decided(timeout_s=10)
        await running.until("SELECT count(*) = 0 FROM due")
    assert (await running.shard())["halted"] is None


async def _plant(running: Service, position: int, version: int, data: bytes) -> None:
    """Put an entry into the log behind the engine's back."""
    await running.database.execute(
        "INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)"
        " VALUES (0, $1, $2, $3, $4, 'planted', now(), $5)",
        position,
        BAD,
        version,
        command_id(BAD, f"planted {position}"),
        data,
    )


def entry_of(event: WalletEvent, position: int, version: int) -> bytes:
    return encode_entry(
        Entry(
            shard=0,
            position=position,
            wallet_id=BAD,
            version=version,
            merchant_id="mch_a1",
            environment="sandbox",
            command_id=command_id(BAD, f"planted {position}").hex(),
            body_digest=None,
            offset=0,
            last=True,
            occurred_at=NOON,
            event=event,
        )
    )


def _impossible_debit() -> bytes:
    return entry_of(
        Debited(
            amount=5,
            currency="GHS",
            balance_before=900,
            balance_after=895,
            reference="d",
            lots=[],
        ),
        1_000,
        2,
    )


@pytest.mark.parametrize(
    "data",
    [
        entry_of(
            Debited(
                amount=5,
                currency="GHS",
                balance_before=5,
                balance_after=0,
                reference="d",
                lots=[],
            ),
            1_000,
            2,
        ).replace(b'"debited"', b'"hold_placed"'),
        _impossible_debit(),
        b"{}",
        b"not even JSON",
    ],
    ids=["a newer release's", "impossible", "empty", "no JSON"],
)
async def test_a_log_that_cannot_be_read_halts_the_shard(running: Service, data: bytes) -> None:
    async with running.engine():
        await running.send_commands(create(W), create(BAD), wallet_id=W)
        await running.decided()
    await _plant(running, 1_000, 2, data)
    async with running.engine():
        await running.send_commands(topup(W, "t", 1), topup(BAD, "t", 1), wallet_id=W)
        await running.until("SELECT halted LIKE 'log_unreadable%' FROM shards WHERE shard = 0")
    row = await running.shard()
    assert (row["next_offset"], row["position"]) == (2, 2)
    assert await running.database.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_bad_release_halts_the_shard_instead_of_draining_the_topic(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    working = batch.decide
    commands = [create(W), *(topup(W, f"t{number}", 1) for number in range(50))]
    monkeypatch.setattr(batch, "decide", broken)
    await running.send_commands(*commands, wallet_id=W)
    async with running.engine(decider_failures_max=10, batch_commands_max=4):
        await running.until("SELECT halted LIKE 'decider_failing%' FROM shards WHERE shard = 0")
    assert await running.database.fetchval("SELECT count(*) FROM dead_letters") <= 10
    assert await running.entries() == []
    monkeypatch.setattr(batch, "decide", working)
    async with running.engine():
        await running.decided()
        await running.until("SELECT halted IS NULL FROM shards WHERE shard = 0")


async def test_a_newer_releases_shard_is_left_alone(running: Service) -> None:
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
    await running.database.execute("UPDATE shards SET schema_version = 1000")
    before = await running.shard()
    async with running.engine() as engine:
        await running.send_commands(topup(W, "t", 1), wallet_id=W)
        await poll(lambda: 0 in engine.assignment._owners)
        task = engine.assignment._owners[0]._task
        assert task is not None
        await asyncio.wait_for(task, 10)
    assert await running.shard() == before
