"""Lots in burn order: by priority, then earliest expiry (none is last), then oldest.

Every function takes a tuple in that order and gives one back.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from engine.wallet import HistoryError, Lot
from schemas.commands import PRIORITY_DEFAULT
from schemas.events import LotAmount
from schemas.instants import EPOCH

Lots = tuple[Lot, ...]


class LotMissingError(HistoryError):
    """An event names a lot, or an amount of it, that the wallet doesn't have."""

    code = "lot_missing"

    def __init__(self, lot: int, amount: int) -> None:
        super().__init__(f"The wallet has no {amount} in lot {lot}: its history is not whole.")


def burn_order(lot: Lot) -> tuple[int, bool, datetime, int]:
    """The key that lots are sorted by."""
    return lot.priority, lot.expires_at is None, lot.expires_at or EPOCH, lot.id


def insert(lots: Lots, lot: Lot) -> Lots:
    """With one lot more."""
    if not lots:
        return (lot,)
    index = bisect_right(lots, burn_order(lot), key=burn_order)
    return (*lots[:index], lot, *lots[index:])


def join(lots: Lots, lot_id: int, amount: int) -> Lots:
    """With `amount` more in a lot that is there."""
    index = _index(lots, lot_id, amount)
    return (
        *lots[:index],
        _holding(lots[index], lots[index].remaining + amount),
        *lots[index + 1 :],
    )


def choose(lots: Lots, amount: int) -> list[LotAmount]:
    """What each lot pays of `amount`, in burn order; less than `amount` if that is all there is."""
    parts = []
    for lot in lots:
        remaining = lot.remaining
        if remaining >= amount:
            parts.append(LotAmount(lot.id, amount))
            break
        parts.append(LotAmount(lot.id, remaining))
        amount -= remaining
    return parts


def take(lots: Lots, parts: Sequence[LotAmount]) -> Lots:
    """Without what `parts` took; a lot that holds nothing any more is gone."""
    gone = 0
    for part in parts:
        if gone == len(lots) or lots[gone].id != part.lot:
            return _take_anywhere(lots[gone:], parts[gone:])
        left = lots[gone].remaining - part.amount
        if left:
            rest = _holding(lots[gone], left)
            return _take_anywhere((rest, *lots[gone + 1 :]), parts[gone + 1 :])
        gone += 1
    return lots[gone:]


def _take_anywhere(lots: Lots, parts: Sequence[LotAmount]) -> Lots:
    for part in parts:
        index = _index(lots, part.lot, part.amount)
        left = lots[index].remaining - part.amount
        rest = (_holding(lots[index], left),) if left else ()
        lots = (*lots[:index], *rest, *lots[index + 1 :])
    return lots


def due(lots: Lots, now: datetime) -> list[tuple[datetime, Lot]]:
    """The lots that are worth nothing at `now`, each after its expiry, earliest first."""
    dead = [(lot.expires_at, lot) for lot in lots if lot.expires_at and lot.expires_at <= now]
    return sorted(dead, key=lambda pair: (pair[0], pair[1].id))


def earliest_expiry(lots: Lots) -> datetime | None:
    """When the first of them expires."""
    if not lots:
        return None
    # within one priority the head is the earliest
    if lots[0].priority == lots[-1].priority:
        return lots[0].expires_at
    return min((lot.expires_at for lot in lots if lot.expires_at is not None), default=None)


def newest_alike(lots: Lots) -> Lot | None:
    """The newest lot that is like the one a top-up makes: default priority, no expiry."""
    for lot in reversed(lots):
        if lot.priority == PRIORITY_DEFAULT and lot.expires_at is None:
            return lot
    return None


def _holding(lot: Lot, remaining: int) -> Lot:
    if remaining < 0:
        raise LotMissingError(lot.id, lot.remaining - remaining)
    return Lot(lot.id, remaining, lot.expires_at, lot.priority)


def _index(lots: Lots, lot_id: int, amount: int) -> int:
    for index, lot in enumerate(lots):
        if lot.id == lot_id:
            return index
    raise LotMissingError(lot_id, amount)
