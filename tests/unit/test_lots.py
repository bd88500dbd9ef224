from itertools import permutations

import pytest

from engine import lots
from engine.lots import LotMissingError, burn_order
from engine.wallet import Lot
from schemas.events import LotAmount
from schemas.instants import EPOCH, from_microseconds
from tests.support.specification import after

LAST_MOMENT = from_microseconds(253402300799999999)
IN_ORDER = (
    Lot(6, 10, None, 0),
    Lot(3, 10, EPOCH, 100),
    Lot(7, 10, after(), 100),
    Lot(5, 10, after(1), 100),
    Lot(8, 10, LAST_MOMENT, 100),
    Lot(2, 10, None, 100),
    Lot(4, 10, None, 100),
    Lot(9, 10, after(), 1000),
)


def ids(held):
    return [lot.id for lot in held]


@pytest.mark.parametrize("order", list(permutations(IN_ORDER[2:6])))
def test_lots_are_in_order_however_they_came(order):
    held = ()
    for lot in order:
        held = lots.insert(held, lot)
    assert held == IN_ORDER[2:6]


def test_a_lot_finds_its_place_anywhere():
    for index, lot in enumerate(IN_ORDER):
        others = IN_ORDER[:index] + IN_ORDER[index + 1 :]
        assert lots.insert(others, lot) == IN_ORDER


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        (1, [(6, 1)]),
        (10, [(6, 10)]),
        (11, [(6, 10), (3, 1)]),
        (80, [(lot.id, 10) for lot in IN_ORDER]),
        (81, [(lot.id, 10) for lot in IN_ORDER]),
    ],
)
def test_an_amount_is_paid_from_the_front(amount, parts):
    chosen = lots.choose(IN_ORDER, amount)
    assert chosen == [LotAmount(lot, paid) for lot, paid in parts]


def test_no_lots_pay_nothing():
    assert lots.choose((), 5) == []


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ([], [10, 10, 10]),
        ([(6, 4)], [6, 10, 10]),
        ([(6, 10)], [10, 10]),
        ([(6, 10), (3, 4)], [6, 10]),
        ([(6, 10), (3, 10), (7, 10)], []),
        ([(3, 4)], [10, 6, 10]),
        ([(7, 10), (6, 4)], [6, 10]),
        ([(6, 4), (7, 4)], [6, 10, 6]),
        ([(6, 4), (6, 6)], [10, 10]),
    ],
)
def test_what_was_paid_is_taken(parts, left):
    held = lots.take(IN_ORDER[:3], [LotAmount(lot, paid) for lot, paid in parts])
    assert [lot.remaining for lot in held] == left
    assert list(held) == sorted(held, key=burn_order)


@pytest.mark.parametrize("part", [(6, 11), (1, 1), (3, 11)])
def test_what_is_not_there_cannot_be_taken(part):
    with pytest.raises(LotMissingError, match=f"lot {part[0]}"):
        lots.take(IN_ORDER[:3], [LotAmount(*part)])
    with pytest.raises(LotMissingError):
        lots.take((), [LotAmount(*part)])


def test_money_joins_a_lot():
    held = lots.join(IN_ORDER[:3], 3, 5)
    assert [lot.remaining for lot in held] == [10, 15, 10]
    with pytest.raises(LotMissingError):
        lots.join(IN_ORDER[:3], 1, 5)


def test_lots_are_due_from_their_expiry_on():
    assert ids(lot for _, lot in lots.due(IN_ORDER, after())) == [3, 7, 9]
    assert ids(lot for _, lot in lots.due(IN_ORDER, after(-1))) == [3]
    assert [moment for moment, _ in lots.due(IN_ORDER, after(1))] == (
        [EPOCH, after(), after(), after(1)]
    )
    assert len(lots.due(IN_ORDER, LAST_MOMENT)) == 5


@pytest.mark.parametrize(
    ("held", "earliest"),
    [
        ((), None),
        (IN_ORDER, EPOCH),
        (IN_ORDER[2:], after()),
        (IN_ORDER[3:6], after(1)),
        (IN_ORDER[4:], after()),
        (IN_ORDER[5:7], None),
        ((IN_ORDER[0], IN_ORDER[5]), None),
    ],
)
def test_the_earliest_expiry_is_known(held, earliest):
    assert lots.earliest_expiry(held) == earliest


@pytest.mark.parametrize(
    ("held", "newest"), [((), None), (IN_ORDER, 4), (IN_ORDER[:6], 2), (IN_ORDER[:5], None)]
)
def test_the_newest_lot_like_a_top_up_is_found(held, newest):
    found = lots.newest_alike(held)
    assert (found and found.id) == newest
