import pytest

from schemas.money import AMOUNT_MAX
from tests.support.specification import (
    after,
    credited,
    debit,
    debited,
    frozen,
    given,
    opened,
    topped_up,
)


def test_a_debit_burns_a_lot():
    given(opened(), topped_up(500, lot=2)).when(
        debit(200, description="10 SMS", metadata={"route": "MTN"})
    ).then(
        debited(200, before=500, lots={2: 200}, description="10 SMS", metadata={"route": "MTN"})
    ).leaves(lots={2: 300}, balance=300, version=3)


def test_a_debit_may_take_everything():
    given(opened(), topped_up(500, lot=2)).when(debit(500)).then(
        debited(500, before=500, lots={2: 500})
    ).leaves(lots={}, balance=0)


def test_a_debit_is_all_or_nothing():
    given(opened(), topped_up(500, lot=2)).when(debit(501)).refused(
        "insufficient_funds", "5.00 GHS", "5.01 GHS"
    ).leaves(lots={2: 500}, balance=500, version=2)


def test_an_empty_wallet_pays_nothing():
    given(opened()).when(debit(1)).refused("insufficient_funds", "0.00 GHS", "0.01 GHS")


def test_the_largest_balance_can_be_debited():
    given(opened(), topped_up(AMOUNT_MAX, lot=2)).when(debit(AMOUNT_MAX)).then(
        debited(AMOUNT_MAX, before=AMOUNT_MAX, lots={2: AMOUNT_MAX})
    )
    given(opened(), topped_up(AMOUNT_MAX - 1, lot=2)).when(debit(AMOUNT_MAX)).refused(
        "insufficient_funds"
    )


LAST = after(days=30)
FIRST = after(days=1)
BURN_ORDER = [
    ({"priority": 0}, {"priority": 1, "expires_at": FIRST}),
    ({"priority": 99, "expires_at": LAST}, {"priority": 100, "expires_at": FIRST}),
    ({"priority": 999}, {"priority": 1000, "expires_at": FIRST}),
    ({"expires_at": FIRST}, {"expires_at": after(1, days=1)}),
    ({"expires_at": LAST}, {}),
    ({"expires_at": after(days=365 * 7970)}, {}),
    ({"expires_at": FIRST}, {"expires_at": FIRST}),
    ({}, {}),
]


@pytest.mark.parametrize(("sooner", "later"), BURN_ORDER)
def test_lots_are_burnt_by_priority_then_expiry_then_age(sooner, later):
    given(opened(), credited(10, lot=2, **sooner), credited(10, lot=3, before=10, **later)).when(
        debit(15)
    ).then(debited(15, before=20, lots={2: 10, 3: 5})).leaves(lots={3: 5})


@pytest.mark.parametrize(("sooner", "later"), BURN_ORDER[:-2])
def test_what_is_burnt_sooner_need_not_have_come_sooner(sooner, later):
    given(opened(), credited(10, lot=2, **later), credited(10, lot=3, before=10, **sooner)).when(
        debit(15)
    ).then(debited(15, before=20, lots={3: 10, 2: 5})).leaves(lots={2: 5})


def test_a_top_up_is_burnt_like_a_credit_of_default_priority_without_expiry():
    given(
        opened(),
        credited(1, lot=2, priority=101),
        topped_up(2, lot=3, before=1),
        credited(4, lot=4, before=3),
        credited(8, lot=5, before=7, priority=99),
    ).when(debit(15)).then(debited(15, before=15, lots={5: 8, 3: 2, 4: 4, 2: 1}))


def test_a_lot_that_was_touched_is_still_burnt_in_its_turn():
    given(
        opened(),
        topped_up(10, lot=2),
        debited(4, before=10, lots={2: 4}),
        topped_up(10, lot=4, before=6),
    ).when(debit(7)).then(debited(7, before=16, lots={2: 6, 4: 1})).leaves(lots={4: 9})


def test_a_frozen_wallet_refuses_debits_before_anything_else():
    history = given(opened(), topped_up(500, lot=2), frozen())
    for command in (debit(1), debit(501), debit(1, currency="USD")):
        history.when(command).refused("wallet_frozen", "unfreeze")


def test_a_debit_in_another_currency_is_refused_before_funds_are_looked_at():
    history = given(opened(), topped_up(500, lot=2))
    history.when(debit(501, currency="USD")).refused("currency_mismatch", "GHS", "USD")
    history.when(debit(200, currency="GHS")).then(debited(200, before=500, lots={2: 200}))


def test_an_overdraft_goes_down_to_the_credit_limit_and_no_further():
    history = given(opened(credit_limit=300), topped_up(500, lot=2))
    history.when(debit(801)).refused("insufficient_funds", "5.00 GHS", "3.00 GHS", "8.01 GHS")
    history.when(debit(800)).then(debited(800, before=500, lots={2: 500}, overdrawn=300)).leaves(
        lots={}, balance=-300, owed=300
    )


def test_an_overdraft_can_grow():
    overdrawn = debited(100, before=0, lots={}, overdrawn=100)
    history = given(opened(credit_limit=300), overdrawn)
    history.when(debit(201)).refused("insufficient_funds", "-1.00 GHS")
    history.when(debit(200)).then(debited(200, before=-100, lots={}, overdrawn=200)).leaves(
        balance=-300, owed=300
    )


def test_lots_that_suffice_leave_the_credit_limit_alone():
    given(opened(credit_limit=300), topped_up(500, lot=2)).when(debit(500)).then(
        debited(500, before=500, lots={2: 500}, overdrawn=0)
    ).leaves(owed=0)


def test_no_credit_limit_takes_a_balance_out_of_64_bits():
    history = given(
        opened(credit_limit=AMOUNT_MAX),
        debited(AMOUNT_MAX, before=0, lots={}, overdrawn=AMOUNT_MAX),
    )
    history.when(debit(1)).refused("insufficient_funds")
