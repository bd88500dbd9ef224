import pytest

from engine.decider import evolve, expire_due
from engine.wallet import LOTS_MAX
from schemas.money import AMOUNT_MAX
from tests.support.specification import (
    NOW,
    after,
    close,
    closed,
    credit,
    credited,
    debit,
    debited,
    expired,
    freeze,
    frozen,
    given,
    opened,
    topped_up,
    topup,
    unfreeze,
    unfrozen,
    written_off,
)

SOON = after(seconds=5)
granted = credited(100, lot=2, expires_at=SOON)


def test_a_lot_is_worth_everything_a_microsecond_before_it_expires():
    history = given(opened(), granted)
    just_before = after(-1, seconds=5)
    assert expire_due(history.wallet, just_before) == ()
    history.when(debit(100), at=just_before).then(debited(100, before=100, lots={2: 100}))


def test_a_lot_is_worth_nothing_when_it_expires():
    history = given(opened(), granted)
    gone = expired(100, lot=2, before=100, expires_at=SOON)
    assert expire_due(history.wallet, SOON) == (gone,)
    history.when(debit(1), at=SOON).refused("insufficient_funds", "0.00 GHS")
    given(opened(), granted, gone).when(debit(1), at=SOON).refused("insufficient_funds")


def test_only_what_is_left_of_a_lot_expires():
    history = given(opened(), granted, debited(30, before=100, lots={2: 30}))
    gone = expired(70, lot=2, before=70, expires_at=SOON)
    assert expire_due(history.wallet, SOON) == (gone,)
    left = evolve(history.wallet, gone)
    assert (left.balance, left.lots, left.next_expiry, left.version) == (0, (), None, 4)
    assert expire_due(left, after(days=9)) == ()


def test_a_lot_that_was_burnt_does_not_expire():
    history = given(opened(), granted, debited(100, before=100, lots={2: 100}))
    assert expire_due(history.wallet, SOON) == ()


def test_lots_expire_by_time_then_age_and_balances_chain():
    history = given(
        opened(),
        credited(1, lot=2, expires_at=after(3)),
        credited(2, lot=3, before=1, expires_at=after(2), priority=1000),
        credited(4, lot=4, before=3, expires_at=after(2), priority=0),
        credited(8, lot=5, before=7, expires_at=after(4)),
        topped_up(16, lot=6, before=15),
    )
    assert history.wallet.next_expiry == after(2)
    assert expire_due(history.wallet, after(3)) == (
        expired(2, lot=3, before=31, expires_at=after(2)),
        expired(4, lot=4, before=29, expires_at=after(2)),
        expired(1, lot=2, before=25, expires_at=after(3)),
    )


def test_the_next_expiry_is_the_earliest_of_any_priority():
    history = [
        opened(),
        credited(1, lot=2, expires_at=after(9), priority=0),
        credited(1, lot=3, before=1, expires_at=after(5), priority=500),
        credited(1, lot=4, before=2, expires_at=after(7), priority=500),
    ]
    assert given(*history).wallet.next_expiry == after(5)
    history.append(expired(1, lot=3, before=3, expires_at=after(5)))
    assert given(*history).wallet.next_expiry == after(7)
    history.append(debited(2, before=2, lots={2: 1, 4: 1}))
    assert given(*history).wallet.next_expiry is None


def test_what_is_due_is_taken_from_every_balance_that_is_told():
    history = given(opened(), granted, topped_up(10, lot=3, before=100))
    gone = expired(100, lot=2, before=110, expires_at=SOON)
    history.when(debit(11), at=SOON).refused("insufficient_funds", "0.10 GHS")
    history.when(debit(4), at=SOON).then(gone, debited(4, before=10, lots={3: 4}))
    history.when(topup(4), at=SOON).then(gone, topped_up(4, lot=5, before=10))
    history.when(credit(4), at=SOON).then(gone, credited(4, lot=5, before=10))
    history.when(freeze(), at=SOON).then(gone, frozen())
    history.when(close(), at=SOON).then(gone, written_off(10, lots={3: 10}), closed())


def test_an_overdraft_does_not_lean_on_dead_money():
    history = given(opened(credit_limit=50), granted)
    history.when(debit(51), at=SOON).refused("insufficient_funds")
    history.when(debit(50), at=SOON).then(
        expired(100, lot=2, before=100, expires_at=SOON),
        debited(50, before=0, lots={}, overdrawn=50),
    )


def test_dead_money_makes_room():
    brimming = given(opened(), credited(AMOUNT_MAX, lot=2, expires_at=SOON))
    brimming.when(topup(1), at=after(-1, seconds=5)).refused("balance_overflow")
    brimming.when(topup(1), at=SOON).leaves(lots={4: 1})
    crowded = given(
        opened(), *(credited(1, lot=n + 2, before=n, expires_at=SOON) for n in range(LOTS_MAX))
    )
    crowded.when(credit(1), at=after(-1, seconds=5)).refused("too_many_lots")
    crowded.when(credit(1), at=SOON).leaves(lots={2 * LOTS_MAX + 2: 1})


def test_a_wallet_whose_money_is_dead_closes_without_writing_off():
    given(opened(), granted).when(close(), at=SOON).then(
        expired(100, lot=2, before=100, expires_at=SOON), closed()
    )


@pytest.mark.parametrize("history", [[frozen()], [frozen(), unfrozen()]])
def test_a_freeze_does_not_stop_the_clock(history):
    wallet = given(opened(), granted, *history).wallet
    assert expire_due(wallet, SOON) == (expired(100, lot=2, before=100, expires_at=SOON),)
    given(opened(), granted, frozen()).when(unfreeze(), at=SOON).then(
        expired(100, lot=2, before=100, expires_at=SOON), unfrozen()
    )


def test_nothing_is_due_where_nothing_expires():
    assert expire_due(given(opened()).wallet, after(days=9)) == ()
    assert expire_due(given(opened(), topped_up(1, lot=2)).wallet, after(days=9)) == ()
    assert expire_due(given(opened(), granted).wallet, NOW) == ()
