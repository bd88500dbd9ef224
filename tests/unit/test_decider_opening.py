import pytest

from engine.decider import decide, is_foreign
from engine.wallet import Wallet
from tests.support.specification import (
    NOW,
    close,
    closed,
    create_wallet,
    credit,
    debit,
    freeze,
    given,
    opened,
    topped_up,
    topup,
    unfreeze,
)

ON_A_WALLET = [debit(1), credit(1), topup(1), freeze(), unfreeze(), close()]
FOREIGN = [{"merchant_id": "mch_2"}, {"environment": "sandbox"}]


def by_type(command):
    return type(command).__name__


def test_a_wallet_opens_empty():
    metadata = {"plan": "prepaid", "seats": 3}
    given().when(create_wallet(metadata=metadata)).then(opened(metadata=metadata))
    assert given(opened(metadata=metadata)).wallet == Wallet(
        merchant_id="mch_1",
        environment="live",
        customer_id="cus_1",
        currency="GHS",
        status="active",
        version=1,
        balance=0,
        owed=0,
        credit_limit=0,
        lots=(),
        next_expiry=None,
    )


@pytest.mark.parametrize("history", [[opened()], [opened(), closed()]])
@pytest.mark.parametrize("fields", [{}, *FOREIGN, {"currency": "USD"}])
def test_a_wallet_opens_once(history, fields):
    given(*history).when(create_wallet(**fields)).refused("wallet_exists", "wal_1")


@pytest.mark.parametrize("command", ON_A_WALLET, ids=by_type)
def test_nothing_happens_to_a_wallet_that_is_not_there(command):
    given().when(command).refused("wallet_not_found", "wal_1", "create")


@pytest.mark.parametrize("fields", FOREIGN)
@pytest.mark.parametrize(
    "history", [[opened()], [opened(), topped_up(9, lot=2)], [opened(), closed()]]
)
@pytest.mark.parametrize("kind", [debit, credit, topup, freeze, unfreeze, close])
def test_somebody_elses_wallet_cannot_be_told_from_one_that_is_not_there(kind, history, fields):
    amount = [1] if kind in {debit, credit, topup} else []
    command = kind(*amount, **fields)
    there = given(*history)
    assert there.when(command).decision == given().when(command).decision
    assert is_foreign(there.wallet, command)


@pytest.mark.parametrize("kind", [debit, credit, topup])
def test_its_owner_may_say_whose_wallet_it_is(kind):
    history = given(opened(), topped_up(9, lot=2))
    for fields in ({"merchant_id": "mch_1"}, {"environment": "live"}, {}):
        command = kind(1, **fields)
        assert not is_foreign(history.wallet, command)
        assert isinstance(decide(history.wallet, command, NOW), tuple)


def test_opening_somebody_elses_wallet_must_not_take_up_its_references():
    wallet = given(opened()).wallet
    assert is_foreign(wallet, create_wallet(merchant_id="mch_2"))
    assert is_foreign(wallet, create_wallet(environment="sandbox"))
    assert not is_foreign(wallet, create_wallet(customer_id="cus_2"))


@pytest.mark.parametrize("command", ON_A_WALLET, ids=by_type)
def test_a_closed_wallet_refuses_everything(command):
    given(opened(), closed()).when(command).refused("wallet_closed")
