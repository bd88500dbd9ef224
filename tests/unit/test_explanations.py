"""Why a command was refused, which lots paid, and that no entry of the chain could be left out."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from audit.errors import ExplanationError
from audit.explanation import explain_entry, explain_wallet, public_id
from engine.wallet import LOTS_MAX
from schemas.events import (
    Closed,
    CommandRejected,
    Credited,
    Debited,
    Expired,
    Frozen,
    ToppedUp,
    Unfrozen,
    WalletCreated,
    WrittenOff,
)
from schemas.money import AMOUNT_MAX
from tests.support.explanations import assert_minimal
from tests.support.history import HistoryBuilder

WALLET = "wal_a"


def opened(**fields):
    return HistoryBuilder().create(WALLET, reference="open", **fields)


def entry_of(history, kind, nth=-1):
    return [entry for entry in history.entries if isinstance(entry.event, kind)][nth]


def explained(history, kind=CommandRejected, nth=-1):
    """The explanation of the last entry of this kind, once its chain is shown to be minimal."""
    subject = entry_of(history, kind, nth)
    explanation = explain_entry(history.entries, subject)
    assert explanation.subject == public_id(subject)
    assert_minimal(explanation, lambda chain: explain_entry(chain, subject))
    return explanation


def explained_balance(history, seconds=0):
    now = history.now + timedelta(seconds=seconds)
    explanation = explain_wallet(history.entries, WALLET, now)
    assert_minimal(explanation, lambda chain: explain_wallet(chain, WALLET, now))
    return explanation


def kinds(explanation):
    return [type(entry.event) for entry in explanation.chain]


def told(explanation):
    return "; ".join(reason.says for reason in explanation.reasons)


# --- refusals ---------------------------------------------------------------------------------


def test_wallet_not_found_because_there_is_none():
    history = HistoryBuilder().debit(WALLET, 5).create(WALLET)

    explanation = explained(history)

    assert kinds(explanation) == [CommandRejected]
    assert "no entry had opened the wallet" in told(explanation)


def test_wallet_not_found_because_it_is_anothers():
    history = opened(merchant_id="mch_mine").topup(WALLET, 500)
    history.debit(WALLET, 5, merchant_id="mch_other", environment="live")

    explanation = explained(history)

    assert kinds(explanation) == [WalletCreated, CommandRejected]
    assert "is mch_mine's" in told(explanation)
    assert "is mch_other's" in told(explanation)
    with pytest.raises(ExplanationError, match="opened the wallet"):
        explain_entry(history.entries[1:], history.entries[-1])


def test_wallet_exists():
    history = opened().topup(WALLET, 1).create(WALLET, reference="again")

    explanation = explained(history)

    assert kinds(explanation) == [WalletCreated, CommandRejected]
    assert 'opening "open"' in told(explanation)


@pytest.mark.parametrize("command", ["debit", "freeze"])
def test_wallet_frozen(command):
    history = opened().topup(WALLET, 500).freeze(WALLET, reference="old").unfreeze(WALLET)
    history.freeze(WALLET, reference="risk").topup(WALLET, 5)
    history.debit(WALLET, 5) if command == "debit" else history.freeze(WALLET)

    explanation = explained(history)

    assert kinds(explanation) == [Frozen, CommandRejected]
    assert explanation.chain[0].event.reference == "risk"
    assert ("wallet_frozen" if command == "debit" else "already_frozen") in explanation.conclusion


def test_wallet_closed():
    history = opened().topup(WALLET, 500).close(WALLET, reference="bye").debit(WALLET, 5)

    explanation = explained(history)

    assert kinds(explanation) == [Closed, CommandRejected]
    assert 'closing "bye"' in told(explanation)


def test_not_frozen_as_it_never_was():
    assert kinds(explained(opened().topup(WALLET, 1).unfreeze(WALLET))) == [
        WalletCreated,
        CommandRejected,
    ]


def test_not_frozen_any_more():
    history = opened().freeze(WALLET).unfreeze(WALLET, reference="clear").unfreeze(WALLET)

    explanation = explained(history)

    assert kinds(explanation) == [Unfrozen, CommandRejected]
    assert 'unfreeze "clear"' in told(explanation)


def test_insufficient_funds_of_an_empty_wallet():
    explanation = explained(opened().debit(WALLET, 5))

    assert kinds(explanation) == [WalletCreated, CommandRejected]
    assert "nothing had ever come in" in told(explanation)


def test_insufficient_funds_names_what_brought_the_balance_below():
    history = opened().topup(WALLET, 500).debit(WALLET, 100).debit(WALLET, 300, reference="big")
    history.debit(WALLET, 20).debit(WALLET, 20, reference="last").debit(WALLET, 200)

    explanation = explained(history)

    references = [getattr(entry.event, "reference", None) for entry in explanation.chain]
    assert references == ["open", "big", "last", None]
    assert "the balance was 0.60 GHS" in told(explanation)
    assert 'until the debit "big" of 3.00 GHS' in told(explanation)
    assert "there was enough for 2.00 GHS" in told(explanation)


def test_insufficient_funds_because_a_credit_expired():
    history = opened().topup(WALLET, 100).credit(WALLET, 300, lasts=5, reference="gift")
    history.debit(WALLET, 50).wait(6).expire(WALLET).debit(WALLET, 200)

    explanation = explained(history)

    assert kinds(explanation) == [WalletCreated, Credited, Expired, CommandRejected]
    assert 'what expired then was left of the credit "gift" of 3.00 GHS' in told(explanation)


def test_insufficient_funds_where_there_never_was_enough():
    history = opened().topup(WALLET, 100).topup(WALLET, 50, reference="last").debit(WALLET, 200)

    explanation = explained(history)

    assert kinds(explanation) == [WalletCreated, ToppedUp, CommandRejected]
    assert "until" not in told(explanation)


def test_insufficient_funds_counts_the_credit_limit():
    history = opened(credit_limit=300).topup(WALLET, 100).debit(WALLET, 350).debit(WALLET, 51)

    explanation = explained(history)

    assert kinds(explanation) == [WalletCreated, Debited, CommandRejected]
    assert "may go 3.00 GHS below 0" in told(explanation)
    assert "the balance was -2.50 GHS" in told(explanation)
    assert 'until the debit "r3" of 3.50 GHS' in told(explanation)


def test_insufficient_funds_with_enough_again_and_then_not():
    history = opened().topup(WALLET, 100).debit(WALLET, 90).topup(WALLET, 100)
    history.debit(WALLET, 95, reference="tips").debit(WALLET, 50)

    explanation = explained(history)

    assert [entry.event.reference for entry in explanation.chain[:-1]] == ["open", "tips"]


@pytest.mark.parametrize("first", ["accepted", "refused"])
def test_reference_conflict(first):
    history = opened()
    if first == "accepted":
        history.topup(WALLET, 900)
    history.debit(WALLET, 5, reference="same").topup(WALLET, 7)
    history.debit(WALLET, 6, reference="same")

    explanation = explained(history)

    kind = Debited if first == "accepted" else CommandRejected
    assert kinds(explanation) == [kind, CommandRejected]
    assert "the reference had been taken" in told(explanation)


def test_currency_mismatch():
    explanation = explained(
        opened(currency="JPY").topup(WALLET, 1).topup(WALLET, 5, currency="USD")
    )

    assert kinds(explanation) == [WalletCreated, CommandRejected]
    assert "opened in JPY" in told(explanation)
    assert "says USD" in told(explanation)


def test_expiry_in_past():
    explanation = explained(opened().credit(WALLET, 5, lasts=-60))

    assert kinds(explanation) == [CommandRejected]
    assert "would have been worth nothing" in told(explanation)


def test_balance_overflow():
    history = opened().topup(WALLET, 7).topup(WALLET, AMOUNT_MAX - 10).topup(WALLET, 4)

    explanation = explained(history)

    assert kinds(explanation) == [ToppedUp, CommandRejected]
    assert str(AMOUNT_MAX) in told(explanation)


def test_too_many_lots():
    history = opened()
    for _ in range(LOTS_MAX + 2):
        history.credit(WALLET, 10)
    history.debit(WALLET, 15).credit(WALLET, 10).credit(WALLET, 10)
    subject = entry_of(history, CommandRejected)

    explanation = explain_entry(history.entries, subject)

    assert len(explanation.chain) == LOTS_MAX + 1
    assert set(kinds(explanation)) == {Credited, CommandRejected}
    assert explain_entry(explanation.chain, subject) == explanation
    for left_out in (0, 1, LOTS_MAX // 2, LOTS_MAX - 1, LOTS_MAX):
        rest = [entry for entry in explanation.chain if entry is not explanation.chain[left_out]]
        with pytest.raises(ExplanationError):
            explain_entry(rest, subject)


# --- lots -------------------------------------------------------------------------------------


def test_a_debit_says_which_lots_paid_and_where_each_came_from():
    history = opened().topup(WALLET, 500, reference="card").topup(WALLET, 7_000)
    history.credit(WALLET, 200, lasts=60, priority=1, reference="gift").debit(WALLET, 600)

    explanation = explained(history, Debited)

    assert [getattr(e.event, "reference", "") for e in explanation.chain][:2] == ["card", "gift"]
    assert kinds(explanation) == [ToppedUp, Credited, Debited]
    first, second = explanation.reasons
    assert first.says.startswith("2.00 GHS came from lot 4, which the credit")
    assert "that was all of it" in first.says
    assert second.says.startswith("4.00 GHS came from lot 2")
    assert "1.00 GHS were left in it" in second.says


def test_a_lot_that_was_partially_used_before():
    history = opened().topup(WALLET, 500).debit(WALLET, 100).debit(WALLET, 150)
    history.topup(WALLET, 9).debit(WALLET, 200)

    explanation = explained(history, Debited)

    assert kinds(explanation) == [ToppedUp, Debited, Debited, Debited]
    assert "of which 2.50 GHS had been taken before" in told(explanation)
    assert "0.50 GHS were left in it" in told(explanation)


def test_a_lot_that_was_burnt_before_is_not_in_the_chain():
    history = opened().topup(WALLET, 100, reference="burnt").debit(WALLET, 100)
    history.topup(WALLET, 50).debit(WALLET, 50)

    explanation = explained(history, Debited)

    assert kinds(explanation) == [ToppedUp, Debited]
    assert explanation.chain[0].event.amount == 50


def test_a_top_up_says_what_became_of_it():
    history = opened().topup(WALLET, 100).debit(WALLET, 30, reference="a").topup(WALLET, 5)
    history.debit(WALLET, 70, reference="b").debit(WALLET, 5)

    explanation = explained(history, ToppedUp, 0)

    assert [entry.event.reference for entry in explanation.chain[1:]] == ["a", "b"]
    assert [reason.positions for reason in explanation.reasons] == [[1], [2], [4], [1, 2, 4]]
    assert "0.00 GHS are left in lot 2" in told(explanation)


def test_a_lot_says_to_the_microsecond_when_it_expires():
    history = opened().wait(0.25).credit(WALLET, 500, lasts=5).debit(WALLET, 200)

    assert "to expire at 2026-01-01T00:00:05.250000Z" in told(explained(history, Debited))


def test_an_expiry_says_what_expired():
    history = opened().credit(WALLET, 500, lasts=5, reference="gift").topup(WALLET, 50)
    history.debit(WALLET, 200).wait(6).expire(WALLET)

    explanation = explained(history, Expired)

    assert kinds(explanation) == [Credited, Debited, Expired]
    assert explanation.conclusion.endswith(" was due")
    assert "3.00 GHS came from lot 2" in told(explanation)
    assert "of which 2.00 GHS had been taken before" in told(explanation)
    assert "that was all of it" in told(explanation)


def test_a_credit_that_expired_says_so():
    history = opened().credit(WALLET, 500, lasts=5).debit(WALLET, 200).wait(6).expire(WALLET)

    explanation = explained(history, Credited)

    assert kinds(explanation) == [Credited, Debited, Expired]
    assert "3.00 GHS left it with the expiry" in told(explanation)


def test_a_write_off_says_where_what_was_left_came_from():
    history = opened().topup(WALLET, 100).topup(WALLET, 60, reference="b").debit(WALLET, 120)
    history.credit(WALLET, 5).close(WALLET)

    explanation = explained(history, WrittenOff)

    assert kinds(explanation) == [ToppedUp, Debited, Credited, WrittenOff]
    assert "0.40 GHS came from lot 3" in told(explanation)
    closing = explained(history, Closed)
    assert kinds(closing) == [WrittenOff, Closed]


def test_a_write_off_forgives_what_was_owed():
    history = opened(credit_limit=100).debit(WALLET, 30, reference="debt").close(WALLET)

    explanation = explained(history, WrittenOff)

    assert kinds(explanation) == [Debited, WrittenOff]
    assert "was forgiven" in told(explanation)


def test_an_overdraft_says_what_allowed_it():
    history = opened(credit_limit=100).topup(WALLET, 50).debit(WALLET, 120)

    explanation = explained(history, Debited)

    assert kinds(explanation) == [WalletCreated, ToppedUp, Debited]
    assert "0.70 GHS came from no lot and are owed" in told(explanation)


def test_an_overdraft_that_is_repaid():
    history = opened(credit_limit=500).topup(WALLET, 50).debit(WALLET, 80).topup(WALLET, 30)
    history.debit(WALLET, 100, reference="first").debit(WALLET, 40, reference="second")
    history.topup(WALLET, 90, reference="part").topup(WALLET, 70, reference="rest")
    history.debit(WALLET, 5, reference="after")

    explanation = explained(history, ToppedUp)

    references = [entry.event.reference for entry in explanation.chain]
    assert references == ["first", "second", "part", "rest", "after"]
    assert "0.50 GHS of the 0.50 GHS that were owed was paid with it" in told(explanation)
    assert "0.15 GHS are left in lot" in told(explanation)
    part = explained(history, ToppedUp, -2)
    assert [entry.event.reference for entry in part.chain] == ["first", "second", "part"]


def test_a_top_up_that_joined_an_older_lot():
    history = opened()
    for _ in range(LOTS_MAX - 1):
        history.credit(WALLET, 10)
    history.topup(WALLET, 100, reference="own").topup(WALLET, 7, reference="joins")
    history.debit(WALLET, 10 * (LOTS_MAX - 1) + 50)

    joined = explained(history, ToppedUp)

    assert [e.event.reference for e in joined.chain[:2]] == ["own", "joins"]
    assert "0.57 GHS are left in lot 1001" in told(joined)
    debit = explain_entry(history.entries, entry_of(history, Debited))
    assert "1 more top-ups joined (1.07 GHS)" in told(debit)
    assert explain_entry(debit.chain, entry_of(history, Debited)) == debit
    history.debit(WALLET, 7)
    later = explain_entry(history.entries, entry_of(history, Debited))
    assert "1 more top-ups joined (1.07 GHS), and of which 0.50 GHS" in told(later)


@pytest.mark.parametrize("kind", [WalletCreated, Frozen])
def test_what_stands_for_itself(kind):
    assert kinds(explained(opened().topup(WALLET, 5).freeze(WALLET), kind)) == [kind]


def test_an_unfreeze_ends_a_freeze():
    history = opened().freeze(WALLET, reference="risk").topup(WALLET, 1).unfreeze(WALLET)

    assert kinds(explained(history, Unfrozen)) == [Frozen, Unfrozen]


# --- balances ---------------------------------------------------------------------------------


def test_a_balance_is_the_lots_that_are_left():
    history = opened().topup(WALLET, 100).debit(WALLET, 100).topup(WALLET, 50)
    history.credit(WALLET, 30, lasts=60).debit(WALLET, 20).freeze(WALLET).debit(WALLET, 1)

    explanation = explained_balance(history)

    assert explanation.conclusion == "the balance is 0.60 GHS"
    assert kinds(explanation) == [ToppedUp, Credited, Debited, Frozen]
    assert "it is frozen" in told(explanation)


def test_a_lot_that_has_run_out_is_worth_nothing_before_its_expiry_is_written():
    history = opened().topup(WALLET, 50).credit(WALLET, 30, lasts=60)

    assert explained_balance(history, 59).conclusion == "the balance is 0.80 GHS"
    after = explained_balance(history, 60)
    assert after.conclusion == "the balance is 0.50 GHS"
    assert "it has run out" in told(after)


def test_a_balance_below_0_is_what_is_owed():
    history = opened(credit_limit=90).topup(WALLET, 50).debit(WALLET, 70).topup(WALLET, 5)

    explanation = explained_balance(history)

    assert explanation.conclusion == "the balance is -0.15 GHS"
    assert kinds(explanation) == [Debited, ToppedUp]


def test_balances_of_nothing():
    assert kinds(explained_balance(opened())) == [WalletCreated]
    used_up = explained_balance(opened().topup(WALLET, 5).debit(WALLET, 5))
    assert kinds(used_up) == [Debited]
    closed = explained_balance(opened().topup(WALLET, 5).close(WALLET))
    assert kinds(closed) == [WrittenOff, Closed]
    with pytest.raises(ExplanationError, match="Nothing opened"):
        explained_balance(HistoryBuilder().debit(WALLET, 5))


# --- histories that are not whole -------------------------------------------------------------


def altered(history, kind, nth=-1, **changes):
    """With fields of one event changed, as somebody who tampers with the log would."""
    entry = entry_of(history, kind, nth)
    changed = replace(entry, event=replace(entry.event, **changes))
    return [changed if other is entry else other for other in history.entries]


def test_a_history_that_lacks_the_entry_itself():
    history = opened().topup(WALLET, 5)
    with pytest.raises(ExplanationError, match="not among the wallet's"):
        explain_entry(history.entries[:1], history.entries[1])


def test_a_lot_that_paid_more_than_it_held():
    history = opened().topup(WALLET, 50).debit(WALLET, 40).debit(WALLET, 10)
    smaller = altered(history, ToppedUp, amount=45)
    with pytest.raises(ExplanationError, match="Lot 2 held 5, and 10 were taken"):
        explain_entry(smaller, entry_of(history, Debited))
    smallest = altered(history, ToppedUp, amount=30)
    with pytest.raises(ExplanationError, match="Position 2 takes 40 of lot 2"):
        explain_entry(smallest, entry_of(history, Debited))


def test_a_lot_that_nothing_made():
    history = opened().topup(WALLET, 50).debit(WALLET, 40)
    nowhere = altered(history, ToppedUp, lot=0)
    for kind in (Debited, ToppedUp):
        with pytest.raises(ExplanationError, match="made lot 2"):
            explain_entry(nowhere, entry_of(history, kind))


def test_funds_that_were_not_insufficient():
    history = opened().topup(WALLET, 50).debit(WALLET, 51)
    with pytest.raises(ExplanationError, match="there were enough"):
        explain_entry(altered(history, ToppedUp, balance_after=51), history.entries[-1])


def test_a_conflict_with_the_same_body():
    history = opened().topup(WALLET, 5, reference="r").topup(WALLET, 6, reference="r")
    first = history.entries[1]
    same = replace(first, body_digest=history.entries[-1].body_digest)
    with pytest.raises(ExplanationError, match="one reference and one body"):
        explain_entry([history.entries[0], same, history.entries[-1]], history.entries[-1])


def test_a_balance_that_would_not_overflow():
    history = opened().topup(WALLET, AMOUNT_MAX).topup(WALLET, 1)
    with pytest.raises(ExplanationError, match="refused as too much"):
        explain_entry(altered(history, ToppedUp, balance_after=5), history.entries[-1])


def test_more_repaid_than_was_owed():
    history = opened(credit_limit=100).debit(WALLET, 80).topup(WALLET, 80)
    with pytest.raises(ExplanationError, match="80 were settled at position 2, and 70 were"):
        explain_entry(altered(history, Debited, overdrawn=70), history.entries[-1])


def test_a_freeze_that_was_no_freeze():
    history = opened().freeze(WALLET).debit(WALLET, 1)
    frozen = history.entries[1]
    thawed = [history.entries[0], replace(frozen, event=Unfrozen(reference="x"))]
    with pytest.raises(ExplanationError, match="froze the wallet"):
        explain_entry([*thawed, history.entries[-1]], history.entries[-1])
