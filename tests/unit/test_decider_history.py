import msgspec
import pytest
from msgspec.structs import replace

from engine import wallet as state
from engine.decider import HistoryError, evolve
from engine.lots import LotMissingError
from engine.wallet import Lot, Wallet, decode_wallet, encode_wallet, fingerprint
from tests.support.specification import (
    after,
    closed,
    credited,
    debited,
    expired,
    given,
    opened,
    topped_up,
    written_off,
)


def test_a_debit_in_another_order_than_todays_still_folds():
    events = [opened(), topped_up(5, lot=2), topped_up(5, lot=3, before=5)]
    newest_first = given(*events, debited(7, before=10, lots={3: 5, 2: 2}))
    assert [(lot.id, lot.remaining) for lot in newest_first.wallet.lots] == [(2, 3)]
    part_of_the_later = given(*events, debited(3, before=10, lots={3: 3}))
    assert [lot.remaining for lot in part_of_the_later.wallet.lots] == [5, 2]


@pytest.mark.parametrize(
    "event",
    [
        opened(),
        debited(1, before=8, lots={2: 1}),
        debited(2, before=9, lots={2: 1}),
        debited(1, before=9, lots={}),
        credited(1, lot=3, before=8),
        credited(1, lot=0, before=9),
        expired(9, lot=2, before=10, expires_at=after(1)),
        written_off(8, lots={2: 8}),
    ],
)
def test_an_event_that_cannot_follow_is_refused(event):
    wallet = given(opened(), topped_up(9, lot=2)).wallet
    with pytest.raises(HistoryError):
        evolve(wallet, event)


def test_an_event_has_to_begin_where_the_one_before_it_ended():
    wallet = given(opened(), topped_up(9, lot=2)).wallet
    event = debited(1, before=9, lots={2: 1})
    with pytest.raises(HistoryError, match="7 becoming 8; the wallet's 9 became 8"):
        evolve(wallet, replace(event, balance_before=7))


def test_nothing_comes_before_the_opening():
    for event in (closed(), topped_up(9, lot=2)):
        with pytest.raises(HistoryError):
            evolve(None, event)


@pytest.mark.parametrize(
    "event",
    [
        debited(10, before=9, lots={2: 10}),
        debited(9, before=9, lots={3: 9}),
        debited(9, before=9, lots={2: 9, 3: 1}),
        topped_up(1, lot=7, before=9),
        expired(9, lot=3, before=9, expires_at=after(1)),
    ],
)
def test_an_event_of_a_lot_that_is_not_there_is_refused(event):
    wallet = given(opened(), topped_up(9, lot=2)).wallet
    with pytest.raises(HistoryError) as caught:
        evolve(wallet, event)
    assert isinstance(caught.value, LotMissingError)


def test_a_snapshot_holds_the_whole_state():
    wallet = Wallet(
        merchant_id="mch_1",
        environment="sandbox",
        customer_id="cus_1",
        currency="GHS",
        status="frozen",
        version=2**62,
        balance=2**63 - 1,
        owed=-(2**63),
        credit_limit=2**63 - 1,
        lots=(Lot(1, 2**63 - 1, after(1, days=365 * 7000), 0), Lot(3, 4, None, 1000)),
        next_expiry=after(1),
    )
    assert decode_wallet(encode_wallet(wallet)) == wallet


@pytest.mark.parametrize("data", [b"", b"\xff", encode_wallet(given(opened()).wallet)[:-1]])
def test_what_is_no_snapshot_is_refused(data):
    with pytest.raises(msgspec.DecodeError):
        decode_wallet(data)


def test_a_snapshot_with_a_field_of_another_type_is_refused():
    fields = list(msgspec.structs.astuple(given(opened()).wallet))
    with pytest.raises(msgspec.ValidationError):
        decode_wallet(msgspec.msgpack.encode([*fields[:5], "1", *fields[6:]]))


def test_the_fingerprint_changes_with_the_shape_of_the_state(monkeypatch):
    assert len(fingerprint()) == 16
    shapes = {fingerprint()}
    fields = [(field.name, field.type) for field in msgspec.structs.fields(Lot)]
    changed = [[*fields, ("held", int)], [("number", int), *fields[1:]], fields[::-1], fields[1:]]
    for other in [*changed, [("id", str), *fields[1:]]]:
        monkeypatch.setattr(state, "Lot", msgspec.defstruct("Lot", other))
        shapes.add(fingerprint.__wrapped__())
    monkeypatch.undo()
    monkeypatch.setattr(state, "_STATE_REVISION", 0)
    assert len(shapes | {fingerprint.__wrapped__()}) == 7
