"""A wallet's history as far as it matters to an explanation.

It takes entries in order, and need not get all of them: what an entry says of a lot whose origin it
was not given is passed over. It holds what touched the lots that still have money in them, and what
is owed still goes back to; not the whole history.
"""

from datetime import datetime
from typing import NamedTuple

from audit.errors import ChainBrokenError
from schemas.entries import Entry
from schemas.events import (
    Closed,
    Credited,
    Debited,
    Expired,
    Frozen,
    LotAmount,
    ToppedUp,
    Unfrozen,
    WalletCreated,
    WrittenOff,
)

Money = Debited | Credited | ToppedUp | Expired | WrittenOff


class Touch(NamedTuple):
    """An entry, and what it put into a lot or took out of it, or added to what is owed."""

    entry: Entry
    change: int


class LotStory:
    """A lot: the entry that made it first, then everything that touched it."""

    def __init__(self, origin: Entry, expires_at: datetime | None) -> None:
        self.origin = origin
        self.expires_at = expires_at
        self.touches: list[Touch] = []
        self.came_in = 0
        self.remaining = 0

    def touch(self, entry: Entry, change: int) -> None:
        self.touches.append(Touch(entry, change))
        self.came_in += max(change, 0)
        self.remaining += change

    @property
    def entries(self) -> list[Entry]:
        return [touch.entry for touch in self.touches]


class Story:
    """The wallet after the entries so far.

    `amount` is what a debit asks for, to find the entry that brought the balance below it;
    `watched` is a lot that is kept when it is used up.
    """

    def __init__(self, *, amount: int | None = None, watched: int | None = None) -> None:
        self.created: Entry | None = None
        self.status: Entry | None = None
        self.money: Entry | None = None
        self.lots: dict[int, LotStory] = {}
        self.owed: list[Touch] = []
        self.owed_amount = 0
        self.tipped: Entry | None = None
        self.tipped_lot: LotStory | None = None
        self.original: Entry | None = None
        self._amount = amount
        self._watched = watched

    @property
    def credit_limit(self) -> int:
        event = None if self.created is None else self.created.event
        return event.credit_limit if isinstance(event, WalletCreated) else 0

    def add(self, entry: Entry) -> None:
        """Raises ChainBrokenError if the entry can't follow those before it."""
        event = entry.event
        if isinstance(event, WalletCreated):
            self.created = entry
        elif isinstance(event, Frozen | Unfrozen | Closed):
            self.status = entry
        elif isinstance(event, Money):
            self._tip(entry, event)
            self.money = entry
            self._move(entry, event)

    def _move(self, entry: Entry, event: Money) -> None:
        if isinstance(event, Credited | ToppedUp):
            self._take_in(entry, event)
        elif isinstance(event, Expired):
            self._take(entry, [LotAmount(event.lot, event.amount)])
        else:
            self._take(entry, event.lots)
            self._owe(entry, overdrawn(event))

    def _take_in(self, entry: Entry, event: Credited | ToppedUp) -> None:
        kept = event.amount - event.settled
        self._owe(entry, -event.settled)
        if event.lot == entry.version:
            expires_at = event.expires_at if isinstance(event, Credited) else None
            self.lots[event.lot] = LotStory(entry, expires_at)
        if event.lot in self.lots:
            self.lots[event.lot].touch(entry, kept)

    def _take(self, entry: Entry, parts: list[LotAmount]) -> None:
        for part in parts:
            lot = self.lots.get(part.lot)
            if lot is None:
                continue
            lot.touch(entry, -part.amount)
            if lot.remaining < 0:
                raise ChainBrokenError(
                    f"Position {entry.position} takes {part.amount} of lot {part.lot}, which did "
                    "not hold it: the wallet's history is not whole, and `wallet verify` says "
                    "where."
                )
            if not lot.remaining and part.lot != self._watched:
                del self.lots[part.lot]

    def _owe(self, entry: Entry, change: int) -> None:
        # what debits owed that are not among the entries is passed over, as their lots are
        change = max(change, -self.owed_amount)
        if change:
            self.owed.append(Touch(entry, change))
            self.owed_amount += change
        if not self.owed_amount:
            self.owed.clear()

    def _tip(self, entry: Entry, event: Money) -> None:
        if self._amount is None:
            return
        if event.balance_before >= self._amount - self.credit_limit > event.balance_after:
            self.tipped = entry
            self.tipped_lot = self.lots.get(event.lot) if isinstance(event, Expired) else None


def overdrawn(event: Debited | WrittenOff) -> int:
    """What it adds to what is owed; less than 0 if it forgives."""
    return event.overdrawn if isinstance(event, Debited) else min(event.amount, 0)
