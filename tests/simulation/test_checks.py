"""Each check finds what it is for: logs that are right but for one thing, spoilt on purpose."""

from base64 import b64encode
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from tests.simulation.checks import Checks
from tests.simulation.database.rows import LONG_AGO
from tests.simulation.plan import Plan
from tests.simulation.undisturbed import Sent, Undisturbed
from tests.simulation.violation import Violation

SEEDS = range(6)


def found(seed, spoil_batch=lambda _: None, spoil=lambda _: None):
    """The kind of the violation that a spoilt run ends with; None if there is none."""
    plan = Plan.draw(seed)
    undisturbed = Undisturbed(plan, spoil_batch)
    spoil(undisturbed)
    Checks(plan, undisturbed, undisturbed)
    try:
        undisturbed.run()
    except Violation as violation:
        return violation.kind
    return None


class Once:
    """Spoils the first batch that it can."""

    def __init__(self, spoil):
        self.spoil = spoil
        self.done = False

    def __call__(self, batch):
        if not self.done:
            self.done = bool(self.spoil(batch.append))


def editing(edit, *kinds):
    """Edits the first entry of one of these kinds; the columns that it tells stay as they are."""

    def spoil(append):
        for index, data in enumerate(append.data):
            entry = msgspec.json.decode(data)
            if entry["event"]["type"] in kinds:
                edit(entry, entry["event"])
                append.data[index] = msgspec.json.encode(entry)
                return True
        return False

    return spoil


def drop_last(append):
    for column in (append.wallet_ids, append.versions, append.command_ids, append.types):
        column[-1:] = []
    append.data[-1:] = []
    return True


def dropping(append):
    return len(append.data) > 1 and drop_last(append)


def repeating(append):
    if not append.data:
        return False
    entry = msgspec.json.decode(append.data[-1])
    entry["position"] += 1
    append.data.append(msgspec.json.encode(entry))
    for column in (append.wallet_ids, append.versions, append.command_ids, append.types):
        column.append(column[-1])
    return True


def one_more(event, *names):
    for name in names:
        event[name] += 1


def without(name):
    def spoil(append):
        return bool(getattr(append, name)) and (getattr(append, name).clear() or True)

    return spoil


def moving(seconds):
    def spoil(append):
        if not append.data:
            return False
        append.now += timedelta(seconds=seconds)
        append.data[:] = [
            msgspec.json.encode(msgspec.json.decode(data) | {"occurred_at": append.now})
            for data in append.data
        ]
        return True

    return spoil


def skipping(append):
    if append.to_offset == append.from_offset:
        return False
    append.to_offset += 1
    return True


MONEY = ("debited", "credited", "topped_up")
SPOILT = {
    "an amount": ("outcome", editing(lambda _, event: one_more(event, "amount"), *MONEY)),
    "a balance": (
        "outcome",
        editing(lambda _, event: one_more(event, "balance_before", "balance_after"), *MONEY),
    ),
    "a lot": ("outcome", editing(lambda _, event: one_more(event["lots"][0], "lot"), "debited")),
    "an expiry": ("outcome", editing(lambda _, event: one_more(event, "amount"), "expired")),
    "a code": (
        "outcome",
        editing(lambda _, event: event.update(code="wallet_frozen"), "command_rejected"),
    ),
    "an owner": (
        "outcome",
        editing(lambda entry, _: entry.update(merchant_id="mch_x"), "debited"),
    ),
    "a column": ("columns", editing(lambda entry, _: entry.update(wallet_id="wal_x"), "debited")),
    "a last entry": ("no_outcome", dropping),
    "an entry twice": ("outcome", repeating),
    "a row of due": ("due", without("due_added")),
    "a dead letter": ("dead_letter", without("dead_letters")),
    "a forward": ("forward", without("forwards")),
    "a time too late": ("time_out_of_bounds", moving(2)),
    "a time too early": ("time_out_of_bounds", moving(-20)),
    "a record": ("no_outcome", skipping),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_batch_is_found(what):
    kind, spoil = SPOILT[what]
    assert kind in {found(seed, Once(spoil)) for seed in SEEDS}


def test_what_is_right_is_let_pass():
    assert [found(seed) for seed in SEEDS] == [None] * len(SEEDS)


def changing_rows(change):
    """Changes the row of a shard before its commit is looked at."""

    def spoil(undisturbed):
        undisturbed.commit_listeners.append(lambda shard: change(undisturbed.shards[shard]))

    return spoil


def one_leaf_off(row):
    row.tree = row.tree[:-1] + bytes([row.tree[-1] ^ 1]) if row.tree else b""


def turn_back(row):
    if row.position > 10:
        row.last_at = LONG_AGO


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("merkle_root", one_leaf_off),
        ("time_goes_back", turn_back),
        ("shard_halted", lambda row: setattr(row, "halted", "stale_batch: …")),
        ("appended_after_fencing", lambda row: setattr(row, "lease", UUID(int=1))),
        ("published_too_far", lambda row: setattr(row, "published", 1)),
        ("positions", lambda row: setattr(row, "position", row.position + 1)),
    ],
)
def test_a_spoilt_row_is_found(kind, change):
    assert found(0, spoil=changing_rows(change)) == kind


@pytest.fixture
def decided():
    """A run that came to its end, and what follows it."""
    plan = Plan.draw(0)
    undisturbed = Undisturbed(plan)
    checks = Checks(plan, undisturbed, undisturbed)
    undisturbed.run()
    return undisturbed, checks


def event(undisturbed, position, shard=1, **changes):
    row = undisturbed.tables[shard].log[position]
    fields = {
        "offset": 0,
        "timestamp": 0,
        "key": row.wallet_id.encode(),
        "value": row.data,
        "headers": (("ce_id", b"%d:%d" % (shard, position)),),
    }
    return Sent(**fields | changes)


def test_the_consumer_takes_the_next_entry_only(decided):
    undisturbed, checks = decided
    consumer = checks.events[1]
    for position in (0, 2, 1, 0, 1, 3, 2):
        consumer.receive(event(undisturbed, position))
    assert consumer.taken == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"value": b'{"position":3}'},
        {"key": b"wal_x"},
        {"headers": ()},
    ],
)
def test_an_entry_that_is_published_otherwise_is_found(decided, changes):
    undisturbed, checks = decided
    with pytest.raises(Violation, match="published_other"):
        checks.events[1].receive(event(undisturbed, 3, **changes))


def test_an_entry_that_is_published_before_it_is_stored_is_found(decided):
    undisturbed, checks = decided
    last = event(undisturbed, len(undisturbed.tables[1].log) - 1)
    undisturbed.tables[1].log.pop()
    with pytest.raises(Violation, match="published_uncommitted"):
        checks.events[1].receive(last)


def test_dead_letters_have_to_be_published_and_marked(decided):
    undisturbed, checks = decided
    shard = next(shard for shard, tables in undisturbed.tables.items() if tables.dead_letters)
    letters = undisturbed.tables[shard].dead_letters
    offset, row = next(iter(letters.items()))
    consumer = checks.letters[shard]
    value = {
        "offset": offset,
        "reason": row.reason,
        "payload": None if row.payload is None else b64encode(row.payload).decode(),
    }
    with pytest.raises(Violation, match="letter_other"):
        consumer.receive(letter(value | {"reason": "decider_failed"}))
    with pytest.raises(Violation, match="letter_uncommitted"):
        consumer.receive(letter(value | {"offset": 10_000}))
    row.published_at = undisturbed.now
    with pytest.raises(Violation, match="letter_lost"):
        consumer.missing(lambda _: None)
    consumer.receive(letter(value))
    said = []
    consumer.missing(said.append)
    assert len(said) == len(letters) - 1


def letter(value):
    return Sent(0, 0, None, msgspec.json.encode(value))


def test_what_is_still_missing_is_told(decided):
    undisturbed, checks = decided
    undisturbed.checkpoints = {}
    missing = checks.drained()
    assert "shard 1 has published 0 of" in missing
    assert "wallets has 0 of" in missing
    assert "the dead letter of" in missing
