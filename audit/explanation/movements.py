"""How an entry that was accepted came about, and what became of the money that it brought."""

from audit.errors import ChainBrokenError
from audit.explanation.lots import described, explain_parts
from audit.explanation.reasons import Steps, named, needed
from audit.explanation.story import LotStory, Story, Touch
from schemas.entries import Entry
from schemas.events import Credited, Debited, Expired, LotAmount, ToppedUp, WrittenOff
from schemas.money import format_amount

Grown = Credited | ToppedUp


def explain_debit(steps: Steps, story: Story, entry: Entry, event: Debited) -> None:
    """Which lots paid, where each came from, and what no lot paid; the story ends before it."""
    explain_parts(steps, story, entry, event.lots, event.currency)
    if event.overdrawn:
        created = needed(story.created, "says how far below 0 the balance may go")
        steps.add(
            f"{format_amount(event.overdrawn, event.currency)} came from no lot and are owed; the "
            f"balance may go {format_amount(story.credit_limit, event.currency)} below 0",
            created,
            entry,
        )


def explain_expiry(steps: Steps, story: Story, entry: Entry, event: Expired) -> None:
    """What expired, and where it came from; the story ends before it."""
    explain_parts(steps, story, entry, [LotAmount(event.lot, event.amount)], event.currency)


def explain_write_off(steps: Steps, story: Story, entry: Entry, event: WrittenOff) -> None:
    """What a closing wallet still held, or owed; the story ends before it."""
    explain_parts(steps, story, entry, event.lots, event.currency)
    if event.amount < 0:
        _explain_owed(steps, story, entry, -event.amount, event.currency, how="was forgiven")


def explain_closing(steps: Steps, story: Story) -> None:
    """What was left when the wallet was closed; the story ends before that."""
    money = story.money
    if money is not None and isinstance(money.event, WrittenOff):
        steps.add(f"it still held, or owed, something: the {named(money)} came first", money)


def explain_unfreezing(steps: Steps, story: Story) -> None:
    """Since when it was frozen; the story ends before."""
    frozen = needed(story.status, "froze the wallet")
    steps.add(f"it was frozen, since the {named(frozen)}", frozen)


def explain_settled(steps: Steps, story: Story, entry: Entry, event: Grown) -> None:
    """What of the money paid what was owed, and for which debits; the story ends before it."""
    if event.settled:
        _explain_owed(steps, story, entry, event.settled, event.currency, how="was paid with it")


def explain_uses(steps: Steps, lot: LotStory, entry: Entry, event: Grown) -> None:
    """What became of the money, up to the end of the story."""
    currency = event.currency
    joined = lot.origin.position != entry.position
    where = f", which {described_origin(lot, currency)}" if joined else ""
    kept = format_amount(event.amount - event.settled, currency)
    steps.add(f"{kept} went into lot {event.lot}{where}", lot.origin, entry)
    for touch in lot.touches:
        if touch.entry.position not in {entry.position, lot.origin.position}:
            steps.add(f"lot {event.lot}: {_use(touch, currency)}", touch.entry)
    left = format_amount(lot.remaining, currency)
    steps.add(f"{left} are left in lot {event.lot}", *lot.entries)


def described_origin(lot: LotStory, currency: str) -> str:
    """The lot's first entry, as the end of a sentence."""
    return described(_beginning(lot), currency)


def _beginning(lot: LotStory) -> LotStory:
    beginning = LotStory(lot.origin, lot.expires_at)
    beginning.touch(*lot.touches[0])
    return beginning


def _use(touch: Touch, currency: str) -> str:
    amount = format_amount(abs(touch.change), currency)
    if touch.change > 0:
        return f"{amount} joined it with the {named(touch.entry)}"
    return f"{amount} left it with the {named(touch.entry)}"


def _explain_owed(
    steps: Steps, story: Story, entry: Entry, amount: int, currency: str, *, how: str
) -> None:
    if story.owed_amount < amount:
        raise ChainBrokenError(
            f"{amount} were settled at position {entry.position}, and {story.owed_amount} were "
            "owed: the wallet's history is not whole, and `wallet verify` says where."
        )
    owed = format_amount(story.owed_amount, currency)
    steps.add(
        f"{format_amount(amount, currency)} of the {owed} that were owed {how}; what made it "
        f"owed: {_debts(story.owed, currency)}",
        *(touch.entry for touch in story.owed),
        entry,
    )


def _debts(owed: list[Touch], currency: str) -> str:
    return ", ".join(
        f"{format_amount(touch.change, currency)} {'by' if touch.change > 0 else 'after'} the "
        f"{named(touch.entry)}"
        for touch in owed
    )
