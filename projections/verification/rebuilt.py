"""The command that an event came from, as far as the event tells."""

from itertools import product
from typing import Final, NamedTuple

from msgspec.structs import replace

from schemas.commands import (
    AnyCommand,
    Close,
    CreateWallet,
    Credit,
    Debit,
    Freeze,
    TopUp,
    Unfreeze,
)
from schemas.entries import Entry
from schemas.events import (
    AnyEvent,
    Closed,
    CommandRejected,
    Credited,
    Debited,
    Frozen,
    ToppedUp,
    Unfrozen,
    WalletCreated,
)
from schemas.instants import Instant

_STATUS: Final[dict[type[Frozen | Unfrozen | Closed], type[Freeze | Unfreeze | Close]]] = {
    Frozen: Freeze,
    Unfrozen: Unfreeze,
    Closed: Close,
}
_MOVED_BY_COMMAND: Final = (Debited, Credited, ToppedUp)
_OF_STATUS: Final = (Frozen, Unfrozen, Closed)
_OF_MONEY: Final = (Debit, Credit, TopUp)


def rebuild(wallet_id: str, event: AnyEvent) -> AnyCommand | None:
    """The command behind an outcome; None if no command leads to such an event by itself.

    What it said about whose wallet it meant, and in which currency, the event does not tell.
    """
    if isinstance(event, _MOVED_BY_COMMAND):
        return _money(wallet_id, event)
    if isinstance(event, CommandRejected):
        return event.command
    if isinstance(event, WalletCreated):
        return CreateWallet(
            wallet_id=wallet_id,
            reference=event.reference,
            merchant_id=event.merchant_id,
            environment=event.environment,
            customer_id=event.customer_id,
            currency=event.currency,
            metadata=event.metadata,
        )
    if isinstance(event, _OF_STATUS):
        return _STATUS[type(event)](wallet_id=wallet_id, reference=event.reference)
    return None


def _money(wallet_id: str, event: Debited | Credited | ToppedUp) -> AnyCommand:
    if isinstance(event, Credited):
        end = event.expires_at
        return Credit(
            wallet_id=wallet_id,
            reference=event.reference,
            amount=event.amount,
            description=event.description,
            metadata=event.metadata,
            expires_at=None if end is None else Instant.of(end),
            priority=event.priority,
        )
    kind = Debit if isinstance(event, Debited) else TopUp
    return kind(
        wallet_id=wallet_id,
        reference=event.reference,
        amount=event.amount,
        description=event.description,
        metadata=event.metadata,
    )


class Said(NamedTuple):
    """What a command may have said of the wallet it meant, or have left out."""

    merchant: bool = False
    environment: bool = False
    currency: bool = False


NOTHING_SAID: Final = Said()
_SOMETHING_SAID: Final = [*product((False, True), repeat=3)][1:]
EVERY_WAY: Final = (NOTHING_SAID, *map(Said._make, _SOMETHING_SAID))


def saying(command: AnyCommand, entry: Entry, said: Said) -> AnyCommand | None:
    """The command as it was if it said so much; None if no such command leads to the entry."""
    if said is NOTHING_SAID:
        return command
    if isinstance(command, CreateWallet) or isinstance(entry.event, CommandRejected):
        return None
    owned = replace(
        command,
        merchant_id=entry.merchant_id if said.merchant else None,
        environment=entry.environment if said.environment else None,
    )
    if not said.currency:
        return owned
    if not isinstance(owned, _OF_MONEY):
        return None
    return replace(owned, currency=getattr(entry.event, "currency", None))
