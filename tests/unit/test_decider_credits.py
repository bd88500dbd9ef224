from datetime import datetime

import pytest

from engine.wallet import LOTS_MAX
from schemas.commands import PRIORITY_DEFAULT
from schemas.money import AMOUNT_MAX
from tests.support.specification import (
    NOW,
    after,
    credit,
    credited,
    debit,
    debited,
    frozen,
    given,
    opened,
    topped_up,
    topup,
)

BOTH = pytest.mark.parametrize(("come", "came"), [(credit, credited), (topup, topped_up)])


@BOTH
def test_money_that_comes_in_is_a_lot_named_by_its_version(come, came):
    given(opened(), topped_up(500, lot=2)).when(
        come(100, description="MoMo", metadata={"channel": 1})
    ).then(came(100, lot=3, before=500, description="MoMo", metadata={"channel": 1})).leaves(
        lots={2: 500, 3: 100}, balance=600, next_expiry=None
    )


def test_a_credit_keeps_its_expiry_and_priority():
    later = after(days=1)
    when = given(opened()).when(credit(100, expires_at=later, priority=7))
    when.then(credited(100, lot=2, expires_at=later, priority=7))
    when.leaves(lots={2: 100}, next_expiry=later)
    (event,) = when.decision
    assert type(event.expires_at) is datetime
    assert (when.wallet.lots[0].expires_at, when.wallet.lots[0].priority) == (later, 7)


@BOTH
def test_frozen_wallets_take_money_in(come, came):
    given(opened(), frozen()).when(come(100)).then(came(100, lot=3)).leaves(status="frozen")


@BOTH
def test_another_currency_is_refused_before_all_else(come, came):
    wrong = come(AMOUNT_MAX, currency="USD")
    given(opened(), topped_up(1, lot=2)).when(wrong).refused("currency_mismatch", "GHS", "USD")
    given(opened()).when(come(1, currency="GHS")).then(came(1, lot=2))


def test_an_expiry_has_to_lie_ahead():
    given(opened()).when(credit(1, expires_at=after(1))).then(
        credited(1, lot=2, expires_at=after(1))
    )
    for past in (NOW, after(-1)):
        given(opened()).when(credit(1, expires_at=past)).refused(
            "expiry_in_past", "2026-03-01T12:00:00Z"
        )


def test_a_past_expiry_is_told_before_an_overflow_and_a_mismatch_before_both():
    history = given(opened(), topped_up(1, lot=2))
    history.when(credit(AMOUNT_MAX, expires_at=NOW)).refused("expiry_in_past")
    history.when(credit(AMOUNT_MAX, expires_at=NOW, currency="USD")).refused("currency_mismatch")


@BOTH
def test_a_balance_may_reach_the_largest_amount_and_not_pass_it(come, came):
    history = given(opened(), topped_up(1, lot=2))
    history.when(come(AMOUNT_MAX)).refused("balance_overflow", str(AMOUNT_MAX))
    history.when(come(AMOUNT_MAX - 1)).then(came(AMOUNT_MAX - 1, lot=3, before=1)).leaves(
        balance=AMOUNT_MAX
    )


@BOTH
def test_what_is_owed_makes_room_below_the_largest_amount(come, came):
    history = given(opened(credit_limit=5), debited(5, before=0, lots={}, overdrawn=5))
    history.when(come(AMOUNT_MAX)).then(came(AMOUNT_MAX, lot=3, before=-5, settled=5)).leaves(
        lots={3: AMOUNT_MAX - 5}, balance=AMOUNT_MAX - 5, owed=0
    )


@BOTH
@pytest.mark.parametrize(
    ("amount", "lot", "settled", "left"),
    [(40, 0, 40, {}), (100, 0, 100, {}), (101, 4, 100, {4: 1}), (150, 4, 100, {4: 50})],
)
def test_what_is_owed_is_paid_first(come, came, amount, lot, settled, left):
    given(
        opened(credit_limit=300),
        topped_up(10, lot=2),
        debited(110, before=10, lots={2: 10}, overdrawn=100),
    ).when(come(amount)).then(came(amount, lot=lot, before=-100, settled=settled)).leaves(
        lots=left, balance=amount - 100, owed=100 - settled
    )


def test_money_that_only_settled_does_not_expire():
    given(opened(credit_limit=9), debited(9, before=0, lots={}, overdrawn=9)).when(
        credit(9, expires_at=after(1))
    ).leaves(lots={}, balance=0, next_expiry=None)


def full(**fields):
    """Histories of a wallet with as many lots of 1 as it may hold."""
    lots = [credited(1, lot=n + 2, before=n, **fields) for n in range(LOTS_MAX - 1)]
    return [opened(), *lots, credited(1, lot=LOTS_MAX + 1, before=LOTS_MAX - 1, priority=0)]


def test_the_last_lot_within_the_bound_is_taken():
    given(*full()[:-1]).when(credit(1)).then(credited(1, lot=LOTS_MAX + 1, before=LOTS_MAX - 1))


def test_a_credit_beyond_the_bound_of_lots_is_refused():
    history = given(*full())
    history.when(credit(1)).refused("too_many_lots", str(LOTS_MAX))
    history.when(debit(1)).leaves(balance=LOTS_MAX - 1)


def test_an_overflow_is_told_before_the_bound_of_lots():
    given(*full()).when(credit(AMOUNT_MAX)).refused("balance_overflow")


def test_room_comes_back_when_lots_are_burnt():
    burnt = debited(1, before=LOTS_MAX, lots={LOTS_MAX + 1: 1})
    given(*full(), burnt).when(credit(1)).then(credited(1, lot=LOTS_MAX + 3, before=LOTS_MAX - 1))


def test_a_top_up_at_the_bound_joins_the_newest_lot_like_it():
    history = given(*full())
    history.when(topup(5)).then(topped_up(5, lot=LOTS_MAX, before=LOTS_MAX))
    lots = history.when(topup(5)).wallet.lots
    assert len(lots) == LOTS_MAX
    assert [lot.remaining for lot in lots if lot.id == LOTS_MAX] == [6]


@pytest.mark.parametrize(
    "unlike", [{"priority": PRIORITY_DEFAULT + 1}, {"expires_at": after(days=1)}]
)
def test_a_top_up_at_the_bound_makes_one_lot_more_and_later_ones_join_it(unlike):
    own = topped_up(5, lot=LOTS_MAX + 2, before=LOTS_MAX)
    given(*full(**unlike)).when(topup(5)).then(own)
    history = given(*full(**unlike), own)
    history.when(topup(7)).then(topped_up(7, lot=LOTS_MAX + 2, before=LOTS_MAX + 5))
    history.when(credit(7)).refused("too_many_lots")
    lots = history.when(topup(7)).wallet.lots
    assert len(lots) == LOTS_MAX + 1
    assert [lot.remaining for lot in lots if lot.id == LOTS_MAX + 2] == [12]


def test_a_top_up_at_the_bound_still_overflows():
    given(*full()).when(topup(AMOUNT_MAX)).refused("balance_overflow")
