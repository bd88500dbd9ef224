"""The plain wallet by itself, told as rules, and then beside the engine's decider."""

import msgspec
import pytest
from hypothesis import given

from engine import decider
from schemas.commands import encode_command, encode_hook
from schemas.events import WalletCreated
from schemas.instants import to_microseconds
from schemas.rejections import Rejection
from tests.simulation.plain_wallet import AMOUNT_MAX, NEVER, PlainWallet, do, expire, objection
from tests.simulation.reading import microseconds, without_absent
from tests.support.wallet_commands import openings, schedules, thorough
from tests.support.wallet_histories import decided

LOTS_MAX = 3


class Story:
    """One wallet to which things happen."""

    def __init__(self, credit_limit=0, lots_max=1000):
        opening = {"merchant_id": "mch_1", "environment": "live", "currency": "GHS"}
        self.wallet = PlainWallet(opening, credit_limit)
        self.wallet.entries = 1
        self.lots_max = lots_max

    def ask(self, kind, now=0, **fields):
        """The code that says no, or the events."""
        command = {"type": kind, "reference": "r", **fields}
        over = expire(self.wallet, now)
        code = objection(self.wallet, command, now, self.lots_max)
        if code is not None:
            return code
        events = do(self.wallet, command, self.lots_max)
        self.wallet.entries += len(events)
        return [event for _, event in over] + events


def paid(events):
    return [(part["lot"], part["amount"]) for part in events[-1]["lots"]]


def test_debits_burn_by_priority_then_expiry_then_age():
    story = Story()
    story.ask("topup", amount=10)
    story.ask("credit", amount=10, expires_at=900)
    story.ask("credit", amount=10, expires_at=500)
    story.ask("credit", amount=10, priority=7)
    story.ask("credit", amount=10, expires_at=500)
    story.ask("topup", amount=10)
    assert paid(story.ask("debit", amount=45)) == [(5, 10), (4, 10), (6, 10), (3, 10), (2, 5)]
    assert paid(story.ask("debit", amount=15)) == [(2, 5), (7, 10)]
    assert story.wallet.balance() == 0


def test_a_debit_is_all_or_nothing():
    story = Story()
    story.ask("topup", amount=10)
    assert story.ask("debit", amount=11) == "insufficient_funds"
    assert story.wallet.balance() == 10


def test_a_lot_is_worth_nothing_from_its_expiry_on():
    story = Story()
    story.ask("credit", amount=10, expires_at=500)
    assert expire(story.wallet, 499) == []
    assert story.ask("debit", now=500, amount=1) == "insufficient_funds"
    assert story.wallet.balance() == 0
    assert story.wallet.entries == 3


def test_expiries_come_in_the_order_of_their_moments():
    story = Story()
    story.ask("credit", amount=1, expires_at=300, priority=0)
    story.ask("credit", amount=2, expires_at=200)
    story.ask("credit", amount=3, expires_at=300)
    told = [
        (version, event["lot"], event["balance_after"])
        for version, event in expire(story.wallet, 300)
    ]
    assert told == [(5, 3, 4), (6, 2, 3), (7, 4, 0)]


def test_what_runs_out_before_it_comes_in_is_refused():
    story = Story()
    assert story.ask("credit", now=500, amount=1, expires_at=500) == "expiry_in_past"
    assert story.ask("credit", now=500, amount=1, expires_at=501)[-1]["type"] == "credited"


def test_frozen_refuses_debits_and_takes_money():
    story = Story()
    assert story.ask("unfreeze") == "not_frozen"
    story.ask("freeze")
    assert story.ask("freeze") == "already_frozen"
    assert story.ask("debit", amount=1) == "wallet_frozen"
    assert story.ask("topup", amount=1)[-1]["balance_after"] == 1
    story.ask("unfreeze")
    assert paid(story.ask("debit", amount=1)) == [(3, 1)]


def test_closing_writes_off_what_is_left_and_is_for_ever():
    story = Story()
    story.ask("topup", amount=5)
    written_off, closed = story.ask("close")
    assert (written_off["type"], written_off["amount"], closed["type"]) == (
        "written_off",
        5,
        "closed",
    )
    assert [story.ask(kind, amount=1) for kind in ("topup", "debit", "freeze", "close")] == [
        "wallet_closed"
    ] * 4
    assert [event["type"] for event in Story().ask("close")] == ["closed"]


def test_other_currencies_and_overflows_are_refused():
    story = Story()
    assert story.ask("topup", amount=1, currency="USD") == "currency_mismatch"
    story.ask("topup", amount=AMOUNT_MAX, currency="GHS")
    assert story.ask("topup", amount=1) == "balance_overflow"
    assert story.ask("credit", amount=1) == "balance_overflow"


def test_at_the_bound_of_lots_credits_are_refused_and_top_ups_join():
    story = Story(lots_max=2)
    story.ask("credit", amount=1, priority=5)
    story.ask("credit", amount=1, priority=6)
    assert story.ask("credit", amount=1) == "too_many_lots"
    assert story.ask("topup", amount=1)[-1]["lot"] == 4
    assert story.ask("topup", amount=1)[-1]["lot"] == 4
    assert len(story.wallet.filled_lots()) == 3


def test_what_is_owed_is_settled_first():
    story = Story(credit_limit=10)
    assert story.ask("debit", amount=11) == "insufficient_funds"
    assert story.ask("debit", amount=8)[-1]["overdrawn"] == 8
    first = story.ask("topup", amount=5)[-1]
    assert (first["lot"], first["settled"], first["balance_after"]) == (0, 5, -3)
    second = story.ask("topup", amount=5)[-1]
    assert (second["lot"], second["settled"], second["balance_after"]) == (4, 3, 2)


def test_only_the_owner_is_not_foreign():
    wallet = Story().wallet
    assert not wallet.is_foreign({})
    assert not wallet.is_foreign({"merchant_id": "mch_1", "environment": "live"})
    assert wallet.is_foreign({"merchant_id": "mch_2"})
    assert wallet.is_foreign({"environment": "sandbox"})


@pytest.fixture(scope="module")
def few_lots():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decider, "LOTS_MAX", LOTS_MAX)
        yield


@thorough
@given(opening=openings, schedule=schedules)
def test_it_says_what_the_decider_says(few_lots, opening, schedule):
    wallet = PlainWallet(_plain(opening), opening.credit_limit)
    wallet.entries = 1
    for before, now, command, decision, after in decided(opening, schedule):
        fields = without_absent(msgspec.json.decode(encode_command(command)))
        at = to_microseconds(now)
        expired = [event for _, event in expire(wallet, at)]
        assert expired == [_plain(event) for event in decider.expire_due(before, now)]
        if wallet.is_foreign(fields) and fields["type"] != "create_wallet":
            assert decision.code == "wallet_not_found"
            continue
        code = objection(wallet, fields, at, LOTS_MAX)
        if isinstance(decision, Rejection):
            assert decision.code == code
            continue
        assert code is None
        events = do(wallet, fields, LOTS_MAX)
        wallet.entries += len(events)
        assert events == [_plain(event) for event in decision]
        assert wallet.entries == after.version
        assert wallet.balance() == after.balance
        held = {lot.number: wallet.left()[lot.number] for lot in wallet.filled_lots()}
        assert held == {lot.id: lot.remaining for lot in after.lots}


def _plain(event: WalletCreated):
    fields = msgspec.json.decode(msgspec.json.encode(event, enc_hook=encode_hook))
    if fields.get("expires_at") is not None:
        fields["expires_at"] = microseconds(fields["expires_at"])
    return fields


def test_never_is_later_than_any_time():
    assert microseconds("9999-12-31T23:59:59.999999Z") < NEVER
