from schemas.money import AMOUNT_MAX
from tests.support.specification import (
    after,
    close,
    closed,
    credited,
    debit,
    debited,
    freeze,
    frozen,
    given,
    opened,
    topped_up,
    unfreeze,
    unfrozen,
    written_off,
)


def test_a_wallet_is_frozen_and_unfrozen():
    given(opened()).when(freeze()).then(frozen()).leaves(status="frozen", version=2)
    given(opened(), frozen()).when(unfreeze()).then(unfrozen()).leaves(status="active", version=3)


def test_what_would_change_nothing_is_refused():
    given(opened(), frozen()).when(freeze()).refused("already_frozen")
    given(opened()).when(unfreeze()).refused("not_frozen")
    given(opened(), frozen(), unfrozen()).when(unfreeze()).refused("not_frozen")


def test_an_unfrozen_wallet_pays_again():
    given(opened(), topped_up(9, lot=2), frozen(), unfrozen()).when(debit(9)).then(
        debited(9, before=9, lots={2: 9})
    )


def test_an_empty_wallet_closes():
    given(opened()).when(close()).then(closed()).leaves(status="closed", version=2)


def test_a_frozen_wallet_closes():
    given(opened(), topped_up(9, lot=2), frozen()).when(close()).then(
        written_off(9, lots={2: 9}), closed()
    ).leaves(status="closed")


def test_what_is_left_is_written_off_lot_by_lot():
    given(
        opened(),
        topped_up(9, lot=2),
        credited(5, lot=3, before=9, expires_at=after(1)),
    ).when(close()).then(written_off(14, lots={3: 5, 2: 9}), closed()).leaves(
        lots={}, balance=0, next_expiry=None, version=5
    )


def test_what_is_owed_is_forgiven():
    given(opened(credit_limit=9), debited(7, before=0, lots={}, overdrawn=7)).when(close()).then(
        written_off(-7, lots={}), closed()
    ).leaves(lots={}, balance=0, owed=0, status="closed")


def test_the_largest_balance_is_written_off():
    given(opened(), topped_up(AMOUNT_MAX, lot=2)).when(close()).then(
        written_off(AMOUNT_MAX, lots={2: AMOUNT_MAX}), closed()
    )
