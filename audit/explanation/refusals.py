"""Why a command was refused, code by code."""

from collections.abc import Callable

from audit.errors import ChainBrokenError
from audit.explanation.reasons import Steps, named, needed
from audit.explanation.story import Story
from engine.wallet import LOTS_MAX
from schemas.commands import Credit
from schemas.digests import command_id
from schemas.entries import Entry
from schemas.events import (
    Closed,
    CommandRejected,
    Credited,
    Debited,
    Expired,
    Frozen,
    ToppedUp,
    Unfrozen,
    WalletCreated,
    WrittenOff,
)
from schemas.instants import to_text
from schemas.money import AMOUNT_MAX, format_amount
from schemas.rejections import RejectionCode

Explain = Callable[[Steps, Story, Entry, CommandRejected], None]


def explain_refusal(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    """Adds why; the story ends before the entry."""
    _BY_CODE[event.code](steps, story, entry, event)


def asked_amount(event: CommandRejected) -> int | None:
    """What was too much, so that the story can look for when it was not."""
    return getattr(event.command, "amount", None) if event.code == "insufficient_funds" else None


def original_of(event: CommandRejected) -> str | None:
    """The command id of what took the reference, in hex digits."""
    if event.code != "reference_conflict":
        return None
    return command_id(event.command.wallet_id, event.command.reference).hex()


def _not_found(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    if not event.wallet_version:
        steps.add("no entry had opened the wallet by then: it was at version 0", entry)
        return
    created = _created(story)
    owner = _opening(created)
    steps.add(f"the wallet is {owner.merchant_id}'s, {owner.environment}", created)
    merchant = getattr(event.command, "merchant_id", None) or owner.merchant_id
    environment = getattr(event.command, "environment", None) or owner.environment
    steps.add(f"the command was for a wallet that is {merchant}'s, {environment}", entry)


def _exists(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    created = _created(story)
    steps.add(f"the wallet was there: the {named(created)} made it", created)
    _asked(steps, entry, event)


def _frozen(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    frozen = _status(story, Frozen, "froze the wallet")
    steps.add(f"the wallet was frozen, since the {named(frozen)}", frozen)
    _asked(steps, entry, event)


def _closed(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    closed = _status(story, Closed, "closed the wallet")
    steps.add(f"the wallet was closed for ever, by the {named(closed)}", closed)
    _asked(steps, entry, event)


def _not_frozen(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    if story.status is None:
        created = _created(story)
        steps.add(f"the wallet was active, as since its {named(created)}", created)
    else:
        unfrozen = _status(story, Unfrozen, "made the wallet active again")
        steps.add(f"the wallet was active again, since the {named(unfrozen)}", unfrozen)
    _asked(steps, entry, event)


def _insufficient(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    created = _created(story)
    opening = _opening(created)
    currency, limit = opening.currency, opening.credit_limit
    amount = getattr(event.command, "amount", 0)
    steps.add(f"the debit asked for {format_amount(amount, currency)}", entry)
    balance = _explain_balance(steps, story, currency)
    if limit:
        steps.add(f"it may go {format_amount(limit, currency)} below 0", created)
    else:
        steps.add("the wallet may not go below 0", created)
    if amount <= balance + limit:
        raise ChainBrokenError(
            f"Position {entry.position} was refused for want of funds, and there were enough: the "
            "wallet's history is not whole, and `wallet verify` says where."
        )
    _explain_tipping(steps, story, amount, currency)


def _explain_balance(steps: Steps, story: Story, currency: str) -> int:
    if story.money is None:
        steps.add("nothing had ever come in", _created(story))
        return 0
    balance = _balance_after(story.money)
    said = f"the balance was {format_amount(balance, currency)}, after the {named(story.money)}"
    steps.add(said, story.money)
    return balance


def _explain_tipping(steps: Steps, story: Story, amount: int, currency: str) -> None:
    if story.tipped is None:
        return
    steps.add(
        f"until the {named(story.tipped)} there was enough for {format_amount(amount, currency)}",
        story.tipped,
    )
    if isinstance(story.tipped.event, Expired):
        if story.tipped_lot is None:
            needed(None, f"made lot {story.tipped.event.lot}")
        else:
            origin = story.tipped_lot.origin
            steps.add(f"what expired then was left of the {named(origin)}", origin)


def _conflict(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    original = needed(story.original, f"took the reference {event.command.reference!r}")
    if original.body_digest == entry.body_digest:
        raise ChainBrokenError(
            f"Positions {original.position} and {entry.position} have one reference and one body, "
            "which is no conflict: `wallet verify` says what was changed."
        )
    steps.add(f"the reference had been taken, by the {named(original)}", original)
    steps.add(f"the command under it is another one: {named(entry)}", entry)


def _currency(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    created = _created(story)
    steps.add(f"the wallet was opened in {_opening(created).currency}", created)
    steps.add(f"the command says {getattr(event.command, 'currency', None)}", entry)


def _in_past(steps: Steps, _story: Story, entry: Entry, event: CommandRejected) -> None:
    expires_at = event.command.expires_at if isinstance(event.command, Credit) else None
    until = "" if expires_at is None else to_text(expires_at)
    steps.add(
        f"it was to expire at {until}, and was decided at {to_text(entry.occurred_at)}: it would "
        "have been worth nothing",
        entry,
    )


def _overflow(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    money = needed(story.money, "says what the balance was")
    amount = getattr(event.command, "amount", 0)
    if _balance_after(money) + amount <= AMOUNT_MAX:
        raise ChainBrokenError(
            f"Position {entry.position} was refused as too much, and was not: `wallet verify` "
            "says what was changed."
        )
    steps.add(f"the balance was {_balance_after(money)}, after the {named(money)}", money)
    steps.add(f"{amount} more would be above {AMOUNT_MAX}, the most there can be", entry)


def _too_many_lots(steps: Steps, story: Story, entry: Entry, event: CommandRejected) -> None:
    origins = [lot.origin for lot in story.lots.values()]
    if len(origins) < LOTS_MAX:
        raise ChainBrokenError(
            f"Only {len(origins)} of {LOTS_MAX} lots are among the wallet's entries: its history "
            "is not whole, and `wallet verify` says where."
        )
    steps.add(
        f"the wallet held {len(origins)} lots of money, and may hold {LOTS_MAX}: what made each "
        "is in the chain",
        *origins,
    )
    _asked(steps, entry, event)


def _asked(steps: Steps, entry: Entry, event: CommandRejected) -> None:
    steps.add(f"so this was refused, {event.code}: {named(entry)}", entry)


def _created(story: Story) -> Entry:
    return needed(story.created, "opened the wallet")


def _opening(created: Entry) -> WalletCreated:
    if not isinstance(created.event, WalletCreated):
        raise TypeError(f"position {created.position} opens no wallet")
    return created.event


def _status(story: Story, kind: type[Frozen | Unfrozen | Closed], what: str) -> Entry:
    status = story.status
    return needed(status if status and isinstance(status.event, kind) else None, what)


def _balance_after(entry: Entry) -> int:
    event = entry.event
    if not isinstance(event, Debited | Credited | ToppedUp | Expired | WrittenOff):
        raise TypeError(f"position {entry.position} moves no money")
    return event.balance_after


_BY_CODE: dict[RejectionCode, Explain] = {
    "wallet_not_found": _not_found,
    "wallet_exists": _exists,
    "wallet_frozen": _frozen,
    "wallet_closed": _closed,
    "already_frozen": _frozen,
    "not_frozen": _not_frozen,
    "insufficient_funds": _insufficient,
    "reference_conflict": _conflict,
    "currency_mismatch": _currency,
    "expiry_in_past": _in_past,
    "balance_overflow": _overflow,
    "too_many_lots": _too_many_lots,
}
