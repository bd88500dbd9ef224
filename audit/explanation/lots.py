"""Which lots paid, and where the money in them came from."""

from collections.abc import Sequence

from audit.errors import ChainBrokenError
from audit.explanation.reasons import Steps, named, needed
from audit.explanation.story import LotStory, Story
from schemas.entries import Entry
from schemas.events import LotAmount
from schemas.instants import to_text
from schemas.money import format_amount


def explain_parts(
    steps: Steps, story: Story, entry: Entry, parts: Sequence[LotAmount], currency: str
) -> None:
    """One step for each lot that `entry` took money from; the story ends before it."""
    for part in parts:
        lot = story.lots.get(part.lot)
        if lot is None:
            needed(None, f"made lot {part.lot}")
        else:
            _explain_part(steps, lot, entry, part, currency)


def _explain_part(
    steps: Steps, lot: LotStory, entry: Entry, part: LotAmount, currency: str
) -> None:
    held = lot.remaining
    if held < part.amount:
        raise ChainBrokenError(
            f"Lot {part.lot} held {held}, and {part.amount} were taken from it: the wallet's "
            "history is not whole, and `wallet verify` says where."
        )
    left = held - part.amount
    rest = f"{format_amount(left, currency)} were left in it" if left else "that was all of it"
    steps.add(
        f"{format_amount(part.amount, currency)} came from lot {part.lot}, which "
        f"{described(lot, currency)}; {rest}",
        *lot.entries,
        entry,
    )


def described(lot: LotStory, currency: str) -> str:
    """What the lot is made of, and what was taken from it, as the end of a sentence."""
    joined = [touch.entry for touch in lot.touches[1:] if touch.change > 0]
    taken = [touch for touch in lot.touches if touch.change < 0]
    said = f"the {named(lot.origin)} made"
    if joined:
        said += f" and {len(joined)} more top-ups joined ({format_amount(lot.came_in, currency)})"
    if lot.expires_at is not None:
        said += f", to expire at {to_text(lot.expires_at)}"
    if taken:
        used = format_amount(-sum(touch.change for touch in taken), currency)
        said += f", and of which {used} had been taken before"
    return said
