"""What listeners are told after a commit."""

from datetime import timedelta

import pytest

from engine.batch import Deciding
from engine.hints import TEXT_BYTES_MAX, Hint
from schemas.entries import decode_entry
from schemas.events import Closed, CommandRejected
from tests.support.batches import NOON, decide_all, records, start
from tests.support.payloads import create, credit, debit, payload, topup

W = "wal_a1"


def test_a_small_batch_brings_the_outcome_of_each_of_its_commands() -> None:
    batch = decide_all(
        start(offset=7, position=40),
        records(create(W), topup(W, "t", 5), debit(W, "d", 9), payload("close", W, "c"), first=7),
    )
    hint = Hint.of(3, batch)
    assert (hint.shard, hint.next_offset, hint.position) == (3, 11, 45)
    outcomes = {offset: decode_entry(data) for offset, data in hint.outcomes.items()}
    assert [*outcomes] == [7, 8, 9, 10]
    assert all(entry.offset == offset and entry.last for offset, entry in outcomes.items())
    assert isinstance(outcomes[9].event, CommandRejected)
    assert isinstance(outcomes[10].event, Closed), "a write-off comes before the outcome"


def test_an_expiry_is_nobodys_outcome() -> None:
    at = (NOON + timedelta(seconds=1)).isoformat()
    first = decide_all(start(), records(create(W), credit(W, "c", 5, expires_at=at)))
    later = NOON + timedelta(seconds=2)
    batch = decide_all(
        first.tip, records(topup(W, "t", 1), first=2), now=later, states=dict(first.wallets)
    )
    assert batch.append.types == ["expired", "topped_up"]
    assert [*Hint.of(0, batch).outcomes] == [2]
    assert decode_entry(Hint.of(0, batch).outcomes[2]).event.reference == "t"  # type: ignore[union-attr]


def test_what_timers_write_is_no_outcome() -> None:
    at = (NOON + timedelta(seconds=1)).isoformat()
    first = decide_all(start(), records(create(W), credit(W, "c", 5, expires_at=at)))
    deciding = Deciding(
        0,
        first.tip,
        NOON + timedelta(seconds=2),
        states=dict(first.wallets),
        recorded={},
        in_flight={},
        snapshot_every=200,
        failures_max=20,
    )
    deciding.wallet_due(W)
    batch = deciding.finish(first.tip.offset, first.tip.last_record)
    assert batch.append.types == ["expired"]
    assert Hint.of(0, batch).outcomes == {}


def test_what_is_no_entry_has_no_outcome_in_it() -> None:
    batch = decide_all(start(), records(create(W), topup(W, "t", 5), topup(W, "t", 5), b"garbage"))
    hint = Hint.of(0, batch)
    assert hint.next_offset == 4
    assert [*hint.outcomes] == [0, 1]


def test_a_large_batch_brings_none_and_every_text_fits() -> None:
    told = set()
    for count in range(1, 40):
        commands = [topup(W, f"t{number}", 5, description="ü" * 40) for number in range(count)]
        hint = Hint.of(0, decide_all(start(), records(create(W), *commands)))
        assert len(hint.to_text().encode()) <= TEXT_BYTES_MAX
        assert len(hint.outcomes) in {0, count + 1}
        told.add(bool(hint.outcomes))
    assert told == {True, False}


def test_text_and_back() -> None:
    batch = decide_all(start(), records(create(W), topup(W, "t", 5, description="a\nb: ü 1")))
    hint = Hint.of(0, batch)
    assert hint.outcomes
    assert Hint.from_text(hint.to_text()) == hint
    assert Hint.from_text("0:4:4") == Hint(0, 4, 4, {})


@pytest.mark.parametrize("text", ["", "0:1", "0:1:x", "wal_a", "0:1:2\nentry"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Hint.from_text(text)
