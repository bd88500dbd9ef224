"""Why a wallet's balance is what it is: the lots that are left, and what is owed."""

from datetime import datetime

from audit.explanation.lots import described
from audit.explanation.reasons import Steps, has_run_out, named
from audit.explanation.story import Story
from schemas.events import Closed, Frozen, Unfrozen
from schemas.money import format_amount


def explain_balance(steps: Steps, story: Story, currency: str, now: datetime) -> int:
    """Adds a step for each lot, for what is owed and for the status; gives the balance at `now`."""
    balance = -story.owed_amount
    for number, lot in story.lots.items():
        amount = format_amount(lot.remaining, currency)
        holds = f"lot {number} holds {amount}: {described(lot, currency)}"
        if has_run_out(lot.expires_at, now):
            holds += "; it has run out, and is worth nothing"
        else:
            balance += lot.remaining
        steps.add(holds, *lot.entries)
    if story.owed:
        owed = format_amount(story.owed_amount, currency)
        steps.add(f"{owed} are owed", *(touch.entry for touch in story.owed))
    if not story.lots and not story.owed:
        _explain_nothing(steps, story)
    _explain_status(steps, story)
    return balance


def _explain_nothing(steps: Steps, story: Story) -> None:
    if story.money is not None:
        steps.add(f"the {named(story.money)} left nothing", story.money)
    elif story.created is not None:
        steps.add("nothing has ever come in", story.created)


def _explain_status(steps: Steps, story: Story) -> None:
    status = story.status
    if status is not None and not isinstance(status.event, Unfrozen):
        how = {Frozen: "frozen", Closed: "closed for ever"}[type(status.event)]
        steps.add(f"it is {how}, since the {named(status)}", status)
