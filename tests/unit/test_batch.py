"""A batch: what each command adds to it, and what a defect in deciding may cost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from engine import batch as batch_module
from engine.batch import Batch, Deciding
from engine.errors import RepeatsUnknownError, ShardHaltedError
from engine.events_topic import EventRecord, cloud_event_headers, whole_commands
from engine.intake import take_in
from engine.merkle import leaf_hashes, root_of
from engine.producing import RECORD_BATCH_BYTES_MAX
from engine.publisher import BATCH_BYTES_MAX
from engine.topics import RECORD_BYTES_MAX
from engine.wallet import LOTS_MAX, Lot, Wallet, decode_wallet
from schemas.commands import PAYLOAD_BYTES_MAX
from schemas.digests import command_id, expiry_id, further_id
from schemas.entries import Entry, decode_entry
from schemas.events import CommandRejected
from schemas.money import AMOUNT_MAX
from tests.support.batches import NOON, decide_all, records, start
from tests.support.payloads import create, credit, debit, payload, topup

W = "wal_a1"
LATER = NOON + timedelta(hours=1)


def entries(batch: Batch) -> list[Entry]:
    return [decode_entry(data) for data in batch.append.data]


def kinds(batch: Batch) -> list[str]:
    return [
        f"rejected {entry.event.code}" if isinstance(entry.event, CommandRejected) else kind
        for entry, kind in zip(entries(batch), batch.append.types, strict=True)
    ]


def decided(*payloads: bytes, **options: Any) -> Batch:
    return decide_all(start(), records(*payloads), **options)


def after(batch: Batch, *payloads: bytes, **options: Any) -> Batch:
    """A batch on top of another that is being appended."""
    options = {"states": dict(batch.wallets), "in_flight": batch.outcomes} | options
    return decide_all(batch.tip, records(*payloads, first=batch.tip.offset), **options)


def test_a_batch_moves_offset_positions_and_tree_together() -> None:
    first = decided(create(W), topup(W, "t", 5), debit(W, "d", 2))
    second = after(first, debit(W, "e", 3))
    assert (second.append.from_offset, second.append.from_position) == (3, 3)
    assert (second.tip.offset, second.tip.position) == (4, 4)
    everything = [*first.append.data, *second.append.data]
    assert [decode_entry(data).position for data in everything] == [0, 1, 2, 3]
    assert second.tip.frontier.root() == root_of(leaf_hashes(everything))
    # the batch before may yet be refused, and is then decided again on its own tip
    assert first.tip.frontier.size == 3
    assert first.append.frontier.root() == root_of(leaf_hashes(first.append.data))


@pytest.mark.parametrize("apart", [False, True])
def test_a_repeat_leaves_nothing_and_another_body_is_refused_once(apart: bool) -> None:
    opening = [create(W), topup(W, "t", 5), debit(W, "d", 9)]
    repeats = [
        topup(W, "t", 5),
        debit(W, "d", 9),
        topup(W, "t", 6),
        topup(W, "t", 6),
        topup(W, "t", 7),
        debit(W, "t", 5),
    ]
    batch = after(decided(*opening), *repeats) if apart else decided(*opening, *repeats)
    assert kinds(batch)[-3:] == ["rejected reference_conflict"] * 3
    assert len(batch.append.data) == (3 if apart else 6)
    assert len(set(batch.append.command_ids)) == len(batch.append.command_ids)


def test_absent_metadata_and_key_order_make_no_other_body() -> None:
    plain = topup(W, "t", 5)
    turned = b'{"metadata":{},"amount":5,"reference":"t","wallet_id":"wal_a1","type":"topup"}'
    assert len(decided(create(W), plain, turned).append.data) == 2


def test_what_was_recorded_before_a_restart_counts() -> None:
    opened = decided(create(W), topup(W, "t", 5))
    recorded = dict(opened.outcomes)
    again = decide_all(
        opened.tip,
        records(topup(W, "t", 5), topup(W, "t", 6), first=2),
        states=dict(opened.wallets),
        recorded=recorded,
    )
    assert kinds(again) == ["rejected reference_conflict"]
    third = decide_all(
        again.tip,
        records(topup(W, "t", 6), first=4),
        states=dict(opened.wallets),
        recorded=recorded | again.outcomes,
    )
    assert third.append.data == []
    assert third.tip.offset == 5


def test_a_foreign_command_takes_no_reference_from_the_owner() -> None:
    foreign = debit(W, "next", 1, merchant_id="mch_other")
    batch = decided(create(W), topup(W, "t", 5), foreign, foreign, debit(W, "next", 1))
    assert kinds(batch) == ["wallet_created", "topped_up", "rejected wallet_not_found", "debited"]
    refusal = entries(batch)[2]
    assert (refusal.merchant_id, refusal.environment) == (None, None)
    assert refusal.command_id != command_id(W, "next").hex()


def test_a_foreign_command_says_nothing_of_a_reference_that_was_used() -> None:
    batch = decided(create(W), topup(W, "t", 5), topup(W, "t", 5, environment="live"))
    assert kinds(batch)[-1] == "rejected wallet_not_found"


def test_ids_of_entries_that_are_no_outcome() -> None:
    opening = decided(
        create(W),
        credit(W, "c", 5, expires_at="2026-01-01T12:30:00Z"),
        topup(W, "t", 7),
    )
    closing = after(opening, payload("close", W, "z"), now=LATER)
    assert kinds(closing) == ["expired", "written_off", "closed"]
    assert closing.append.command_ids == [
        expiry_id(W, 2),
        further_id(command_id(W, "z"), 0),
        command_id(W, "z"),
    ]
    assert closing.lasts == [False, False, True]
    assert [entry.last for entry in entries(closing)] == [False, False, True]
    assert [entry.offset for entry in entries(closing)] == [3, 3, 3]
    assert entries(closing)[0].body_digest is None


def test_a_rejection_is_decided_on_what_has_not_expired_and_says_so() -> None:
    opening = decided(create(W), credit(W, "c", 5, expires_at="2026-01-01T12:30:00Z"))
    batch = after(opening, debit(W, "d", 5), now=LATER)
    assert kinds(batch) == ["expired", "rejected insufficient_funds"]
    rejected = entries(batch)[1]
    assert rejected.version is None
    assert isinstance(rejected.event, CommandRejected)
    assert rejected.event.wallet_version == 3


def failing_for(monkeypatch: pytest.MonkeyPatch, name: str, reference: str) -> None:
    """Make a part of deciding raise whenever it meets this reference."""
    working = getattr(batch_module, name)

    def broken(wallet: Any, told: Any, *rest: Any) -> Any:
        if getattr(told, "reference", None) == reference:
            raise ZeroDivisionError("a defect")
        return working(wallet, told, *rest)

    monkeypatch.setattr(batch_module, name, broken)


@pytest.mark.parametrize("part", ["decide", "evolve"])
def test_a_defect_on_one_command_costs_that_command(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    failing_for(monkeypatch, part, "bad")
    batch = decided(create(W), topup(W, "bad", 5), topup(W, "good", 7))
    assert kinds(batch) == ["wallet_created", "topped_up"]
    assert batch.wallets[W].balance == 7
    (letter,) = batch.append.dead_letters
    assert (letter.offset, letter.reason) == (1, "decider_failed")
    assert letter.payload == topup(W, "bad", 5)
    assert command_id(W, "bad") not in batch.outcomes


def test_a_defect_on_a_foreign_command_costs_that_command(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_for(monkeypatch, "decide", "bad")
    batch = decided(create(W), topup(W, "bad", 5, merchant_id="mch_other"), topup(W, "good", 7))
    assert kinds(batch) == ["wallet_created", "topped_up"]
    assert [letter.offset for letter in batch.append.dead_letters] == [1]


def test_a_defect_on_the_second_event_leaves_the_wallet_unmoved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    working = batch_module.evolve

    def broken(wallet: Any, event: Any) -> Any:
        if type(event).__name__ == "Closed":
            raise ZeroDivisionError("a defect")
        return working(wallet, event)

    monkeypatch.setattr(batch_module, "evolve", broken)
    batch = decided(create(W), topup(W, "t", 5), payload("close", W, "c"), debit(W, "d", 5))
    assert kinds(batch) == ["wallet_created", "topped_up", "debited"]
    assert [entry.version for entry in entries(batch)] == [1, 2, 3]
    assert [letter.offset for letter in batch.append.dead_letters] == [2]


def test_defects_in_a_row_stop_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_for(monkeypatch, "decide", "bad")
    bad = [topup(W, "bad", 5)] * 3
    with pytest.raises(ShardHaltedError, match="3 commands in a row") as caught:
        decided(create(W), *bad, failures_max=3)
    assert caught.value.code == "decider_failing"
    with_a_good_one = [*bad[:2], topup(W, "good", 1), *bad[:2]]
    assert len(decided(create(W), *with_a_good_one, failures_max=3).append.dead_letters) == 4
    # what failed at the end of the batch before counts
    with pytest.raises(ShardHaltedError):
        decided(bad[0], failures_max=3, failures_in_row=2)


def test_repeats_do_not_break_a_row_of_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redelivered duplicate proves nothing about the decider."""
    failing_for(monkeypatch, "decide", "bad")
    commands = [create(W), topup(W, "bad", 5), create(W), topup(W, "bad", 5)]
    assert decided(*commands).failures_in_row == 2


def test_a_defect_in_expiring_leaves_the_timers_other_wallets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = "wal_b2"
    opening = decided(
        *(create(wallet_id) for wallet_id in (W, other)),
        *(
            credit(wallet_id, "c", 5, expires_at="2026-01-01T12:30:00Z")
            for wallet_id in (W, other)
        ),
    )
    working = batch_module.expire_due

    def broken(wallet: Wallet, now: datetime) -> Any:
        if wallet is opening.wallets[W]:
            raise ZeroDivisionError("a defect")
        return working(wallet, now)

    monkeypatch.setattr(batch_module, "expire_due", broken)
    deciding = Deciding(
        0,
        opening.tip,
        LATER,
        states=dict(opening.wallets),
        recorded={},
        in_flight={},
        snapshot_every=200,
        failures_max=20,
    )
    deciding.wallet_due(W)
    deciding.wallet_due(other)
    batch = deciding.finish(opening.tip.offset, None)
    assert [entry.wallet_id for entry in entries(batch)] == [other]
    assert batch.lasts == [True]


def test_snapshots_are_of_the_state_after_the_entry_they_name() -> None:
    commands = [create(W), *(topup(W, f"t{number}", 1) for number in range(4))]
    batch = decided(*commands, debit(W, "no", 100), snapshot_every=3)
    (snapshot,) = batch.snapshots
    assert (snapshot.version, snapshot.position) == (5, 4)
    assert snapshot.leaf_hash == leaf_hashes(batch.append.data)[4]
    assert decode_wallet(snapshot.state) == batch.wallets[W]


# The largest things there can be

LONG = "wal_" + "w" * 40
EARLY = datetime(2026, 1, 1, 11, 59, 59, 999_999, tzinfo=UTC)


def crowded_wallet(lots: int, *, expires_at: datetime | None) -> Wallet:
    amount = AMOUNT_MAX // (LOTS_MAX + 1)
    version = 10**9
    held = tuple(Lot(version + n, amount, expires_at, 1000) for n in range(lots))
    return Wallet(
        "mch_" + "m" * 40,
        "sandbox",
        "cus_" + "c" * 40,
        "GHS",
        "active",
        version + lots,
        amount * lots,
        0,
        0,
        held,
        expires_at,
    )


def largest_debit(amount: int) -> bytes:
    """Every byte that a payload may have, in fields that go into the entry."""
    head = debit(LONG, "r" * 255, amount, description="d" * 1000)[:-1]
    room = PAYLOAD_BYTES_MAX - len(head) - len(b',"metadata":{}}')
    pairs = []
    for number in range(50):
        key = f"{number:040d}"
        # a character of four bytes is the most that one of the 500 can take
        value = "\U0001f4b0" * min(500, max(0, (room - 50) // 4))
        pair = f'"{key}":"{value}"'.encode()
        if len(pair) + 1 > room:
            break
        pairs.append(pair)
        room -= len(pair) + 1
    made = head + b',"metadata":{' + b",".join(pairs) + b"}}"
    assert PAYLOAD_BYTES_MAX - 100 <= len(made) <= PAYLOAD_BYTES_MAX
    return made


@pytest.mark.parametrize(
    ("wallet", "command"),
    [
        (crowded_wallet(LOTS_MAX, expires_at=EARLY), payload("close", LONG, "r" * 255)),
        (crowded_wallet(LOTS_MAX, expires_at=EARLY), largest_debit(AMOUNT_MAX)),
        (crowded_wallet(LOTS_MAX + 1, expires_at=None), payload("close", LONG, "r" * 255)),
        (
            crowded_wallet(LOTS_MAX + 1, expires_at=None),
            largest_debit(AMOUNT_MAX // (LOTS_MAX + 1) * LOTS_MAX),
        ),
    ],
    ids=["close, all expired", "rejection, all expired", "close, all live", "debit of all"],
)
def test_whatever_a_command_causes_fits_into_one_record_batch(
    wallet: Wallet, command: bytes
) -> None:
    intake = take_in(records(command, first=2**53), 0, 1)
    deciding = Deciding(
        4_095,
        start(offset=2**53),
        NOON.replace(microsecond=999_999),
        states={LONG: wallet},
        recorded={},
        in_flight={},
        snapshot_every=200,
        failures_max=20,
    )
    deciding._tip = deciding._tip.__class__(2**53, None, 2**53, deciding._tip.frontier, NOON)
    deciding._append.from_position = 2**53
    for received in intake.commands:
        deciding.command(received)
    append = deciding._append
    assert not append.dead_letters
    made = [
        EventRecord(2**53 + index, LONG, kind, append.now, data, last)
        for index, (kind, data, last) in enumerate(
            zip(append.types, append.data, deciding._lasts, strict=True)
        )
    ]
    (group,) = whole_commands(made, BATCH_BYTES_MAX)
    assert len(group) == len(made)
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=RECORD_BATCH_BYTES_MAX,
    )
    for place, (record, headers) in enumerate(
        zip(group, cloud_event_headers(4_095, group), strict=True)
    ):
        fits = builder.append(place, 0, LONG.encode(), record.data, headers)
        assert fits is not None, f"{place + 1} of {len(group)} entries fit"
    assert builder.size() < RECORD_BATCH_BYTES_MAX < RECORD_BYTES_MAX


def test_a_batch_is_full_of_entries_or_of_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends_at(name: str, bound: int) -> int | None:
        monkeypatch.setattr(batch_module, "ENTRIES_MAX", 100)
        monkeypatch.setattr(batch_module, "ENTRIES_BYTES_MAX", 10**6)
        monkeypatch.setattr(batch_module, name, bound)
        intake = take_in(records(*(create(f"wal_{number}") for number in range(5))), 0, 1)
        states = dict.fromkeys((received.command.wallet_id for received in intake.commands), None)
        deciding = Deciding(
            0,
            start(),
            NOON,
            states=states,
            recorded={},
            in_flight={},
            snapshot_every=200,
            failures_max=20,
        )
        return deciding.commands(intake.commands)

    (size,) = map(len, decided(create("wal_0")).append.data)
    assert ends_at("ENTRIES_MAX", 2) == 1
    assert ends_at("ENTRIES_MAX", 5) is None
    assert ends_at("ENTRIES_BYTES_MAX", 2 * size) == 1
    assert ends_at("ENTRIES_BYTES_MAX", 2 * size + 1) == 2
    assert ends_at("ENTRIES_BYTES_MAX", 10**6) is None


def test_a_command_that_breaks_the_decider_is_asked_for_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a repeat it would have to leave nothing, so it may not become a dead letter."""

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(batch_module, "decide", broken)
    with pytest.raises(RepeatsUnknownError):
        decided(create(W), repeats_known=False)
    assert decided(create(W)).append.dead_letters[0].reason == "decider_failed"
