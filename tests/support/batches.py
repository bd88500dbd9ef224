"""Records as they are consumed, and batches decided from them, without Kafka or PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.batch import Batch, Deciding, Tip
from engine.intake import record_digest, take_in
from engine.merkle import Frontier
from engine.wallet import Wallet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class FakeRecord:
    """What the engine reads of a consumed record."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = 1_767_268_800_000


def records(*payloads: bytes | None, first: int = 0) -> list[FakeRecord]:
    return [FakeRecord(first + index, payload) for index, payload in enumerate(payloads)]


def start(offset: int = 0, position: int = 0, last_at: datetime = NOON) -> Tip:
    return Tip(offset, None, position, Frontier(), last_at)


def decide_all(
    tip: Tip,
    consumed: Sequence[FakeRecord],
    *,
    now: datetime = NOON,
    states: Mapping[str, Wallet | None] | None = None,
    recorded: Mapping[bytes, bytes] | None = None,
    in_flight: Mapping[bytes, bytes] | None = None,
    **options: Any,
) -> Batch:
    """One batch of shard 0 of a topic of one partition; unnamed wallets don't exist."""
    intake = take_in(consumed, 0, 1)
    known = dict.fromkeys((received.command.wallet_id for received in intake.commands), None)
    deciding = Deciding(
        0,
        tip,
        now,
        states={**known, **(states or {})},
        recorded=recorded or {},
        in_flight=in_flight or {},
        **({"snapshot_every": 200, "failures_max": 20} | options),
    )
    for received in intake.commands:
        deciding.command(received)
    for letter in intake.dead_letters:
        deciding.dead_letter(letter)
    if not consumed:
        return deciding.finish(tip.offset, tip.last_record)
    return deciding.finish(consumed[-1].offset + 1, record_digest(consumed[-1]))
