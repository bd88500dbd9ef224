"""A history gives one state, however it is stored, cut and read again."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.wallet import decode_wallet, encode_wallet
from schemas.entries import Entry, decode_entry, encode_entry
from tests.support.specification import NOW
from tests.support.wallet_commands import openings, schedules, thorough
from tests.support.wallet_histories import final, fold, history


def entry(position, event):
    return Entry(
        shard=0,
        position=position,
        wallet_id="wal_1",
        version=position + 1,
        merchant_id="mch_1",
        environment="live",
        command_id="00" * 16,
        body_digest=None,
        offset=None,
        last=True,
        occurred_at=NOW + timedelta(microseconds=position),
        event=event,
    )


def stored(events):
    """The events as they come out of the log again."""
    data = [encode_entry(entry(position, event)) for position, event in enumerate(events)]
    return [decode_entry(line).event for line in data]


@thorough
@given(openings, schedules)
def test_replaying_gives_the_state_that_deciding_gave(opening, schedule):
    events = [event for event, _ in history(opening, schedule)]
    assert stored(events) == events
    assert fold(None, stored(events)) == final(opening, schedule)


@thorough
@given(openings, schedules, st.data())
def test_a_snapshot_and_its_tail_give_the_state_of_the_whole(opening, schedule, data):
    steps = list(history(opening, schedule))
    cut = data.draw(st.integers(1, len(steps)))
    snapshot = encode_wallet(steps[cut - 1][1])
    tail = stored([event for event, _ in steps])[cut:]
    whole = steps[-1][1]
    resumed = fold(decode_wallet(snapshot), tail)
    assert resumed == whole
    assert encode_wallet(resumed) == encode_wallet(whole)
