"""What an explanation is made of."""

from datetime import datetime

from msgspec import Struct

from audit.errors import ChainBrokenError
from schemas.entries import Entry
from schemas.events import TAGS, CommandRejected
from schemas.ids import transaction_id
from schemas.instants import to_text
from schemas.money import format_amount


class Reason(Struct, frozen=True):
    """One step: a sentence, and the positions of the entries that it follows from."""

    says: str
    positions: list[int]


class Explanation(Struct, frozen=True, kw_only=True):
    """Why something is as it is. `chain` are the entries it follows from, in order, and no others.

    Explaining the chain alone comes to the same; without any one of its entries it does not.
    """

    subject: str
    wallet_id: str
    conclusion: str
    reasons: list[Reason]
    chain: list[Entry]


class Steps:
    """Collects the reasons of one explanation, and the entries that they name."""

    def __init__(self) -> None:
        self._reasons: list[Reason] = []
        self._entries: dict[int, Entry] = {}

    def add(self, says: str, *entries: Entry) -> None:
        self._reasons.append(Reason(says, sorted({entry.position for entry in entries})))
        self._entries |= {entry.position: entry for entry in entries}

    def cite(self, entry: Entry) -> None:
        """What it is all about, which no sentence has to say."""
        self._entries[entry.position] = entry

    def explain(self, subject: str, wallet_id: str, conclusion: str) -> Explanation:
        return Explanation(
            subject=subject,
            wallet_id=wallet_id,
            conclusion=conclusion,
            reasons=self._reasons,
            chain=[self._entries[position] for position in sorted(self._entries)],
        )


def needed(entry: Entry | None, what: str) -> Entry:
    """The entry; raises ChainBrokenError if there is none."""
    if entry is None:
        raise ChainBrokenError(
            f"The entry that {what} is not among the wallet's: its history is not whole, and "
            "`wallet verify` says where."
        )
    return entry


def public_id(entry: Entry) -> str:
    """The transaction's id."""
    return transaction_id(entry.shard, entry.command_id)


def named(entry: Entry) -> str:
    """What the entry is called in a sentence: `debit "sms_1" of 5.00 GHS at 2026-05-24T10:00:00Z`."""
    event = entry.event
    what = _NOUNS[TAGS[type(event)]]
    if isinstance(event, CommandRejected):
        what = f"{event.command.__struct_config__.tag} that was refused"
        event = event.command  # type: ignore[assignment]  # for its reference alone
    reference = getattr(event, "reference", None)
    amount, currency = getattr(event, "amount", None), getattr(event, "currency", None)
    return "".join(
        (
            what,
            f' "{reference}"' if reference else "",
            f" of {format_amount(amount, currency)}" if amount is not None and currency else "",
            f" at {to_text(entry.occurred_at)}",
        )
    )


_NOUNS = {
    "wallet_created": "opening",
    "debited": "debit",
    "credited": "credit",
    "topped_up": "top-up",
    "expired": "expiry",
    "written_off": "write-off",
    "frozen": "freeze",
    "unfrozen": "unfreeze",
    "closed": "closing",
    "command_rejected": "command",
}


def has_run_out(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a lot is worth nothing at `now`, written down or not."""
    return expires_at is not None and expires_at <= now
