"""Explains one entry, or a wallet's balance, from its entries in order."""

from collections.abc import Iterable
from datetime import datetime

from audit.errors import ChainBrokenError, ExplanationError
from audit.explanation.balances import explain_balance
from audit.explanation.movements import (
    explain_closing,
    explain_debit,
    explain_expiry,
    explain_settled,
    explain_unfreezing,
    explain_uses,
    explain_write_off,
)
from audit.explanation.reasons import Explanation, Steps, named, public_id
from audit.explanation.refusals import asked_amount, explain_refusal, original_of
from audit.explanation.story import Story
from schemas.entries import Entry
from schemas.events import (
    Closed,
    CommandRejected,
    Credited,
    Debited,
    Expired,
    ToppedUp,
    Unfrozen,
    WrittenOff,
)
from schemas.money import format_amount


class EntryExplainer:
    """Takes the wallet's entries in order; `finish` explains the one that it was made for.

    Of most entries it needs none that come later: `is_done` says when.
    """

    def __init__(self, subject: Entry) -> None:
        self._subject = subject
        self._steps = Steps()
        event = subject.event
        rejected = event if isinstance(event, CommandRejected) else None
        self._original_id = original_of(rejected) if rejected else None
        self._grown = event if isinstance(event, Credited | ToppedUp) else None
        self._story = Story(
            amount=asked_amount(rejected) if rejected else None,
            watched=self._grown.lot if self._grown else None,
        )
        self._is_told = False

    @property
    def is_done(self) -> bool:
        return self._is_told and not (self._grown and self._grown.lot)

    def add(self, entry: Entry) -> None:
        if self.is_done:
            return
        if entry.position == self._subject.position:
            self._tell()
        if entry.command_id == self._original_id:
            self._story.original = entry
        self._story.add(entry)

    def finish(self) -> Explanation:
        """Raises ChainBrokenError if an entry is missing."""
        if not self._is_told:
            raise ChainBrokenError("The entry itself is not among the wallet's.")
        grown = self._grown
        if grown is not None and grown.lot:
            lot = self._story.lots.get(grown.lot)
            if lot is None:
                raise ChainBrokenError(f"No entry made lot {grown.lot}: `wallet verify` says why.")
            explain_uses(self._steps, lot, self._subject, grown)
        return self._steps.explain(
            public_id(self._subject), self._subject.wallet_id, _conclusion(self._subject)
        )

    def _tell(self) -> None:
        self._is_told = True
        steps, story, entry, event = self._steps, self._story, self._subject, self._subject.event
        steps.cite(entry)
        if isinstance(event, CommandRejected):
            explain_refusal(steps, story, entry, event)
        elif isinstance(event, Debited):
            explain_debit(steps, story, entry, event)
        elif isinstance(event, Expired):
            explain_expiry(steps, story, entry, event)
        elif isinstance(event, WrittenOff):
            explain_write_off(steps, story, entry, event)
        elif isinstance(event, Credited | ToppedUp):
            explain_settled(steps, story, entry, event)
        elif isinstance(event, Unfrozen):
            explain_unfreezing(steps, story)
        elif isinstance(event, Closed):
            explain_closing(steps, story)


class BalanceExplainer:
    """Takes a wallet's entries in order; `finish` explains what it holds after them."""

    def __init__(self, wallet_id: str, now: datetime) -> None:
        self._wallet_id = wallet_id
        self._now = now
        self._story = Story()
        self._currency: str | None = None

    def add(self, entry: Entry) -> None:
        self._currency = self._currency or getattr(entry.event, "currency", None)
        self._story.add(entry)

    def finish(self) -> Explanation:
        """Raises ExplanationError if no entry opened the wallet."""
        if self._currency is None:
            raise ExplanationError(
                f"Nothing opened wallet {self._wallet_id}: there is no balance to explain."
            )
        steps = Steps()
        balance = explain_balance(steps, self._story, self._currency, self._now)
        conclusion = f"the balance is {format_amount(balance, self._currency)}"
        return steps.explain(self._wallet_id, self._wallet_id, conclusion)


def explain_entry(entries: Iterable[Entry], subject: Entry) -> Explanation:
    """Why the entry is as it is, from the wallet's entries, in order."""
    explainer = EntryExplainer(subject)
    for entry in entries:
        explainer.add(entry)
    return explainer.finish()


def explain_wallet(entries: Iterable[Entry], wallet_id: str, now: datetime) -> Explanation:
    """Why the balance is what it is at `now`, from the wallet's entries, in order."""
    explainer = BalanceExplainer(wallet_id, now)
    for entry in entries:
        explainer.add(entry)
    return explainer.finish()


def _conclusion(entry: Entry) -> str:
    event = entry.event
    if isinstance(event, CommandRejected):
        return f"the {named(entry)} got {event.code}: {event.message}"
    return f"the {named(entry)} was {'due' if isinstance(event, Expired) else 'accepted'}"
