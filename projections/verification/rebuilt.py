"""The command that an event came from, as far as the event tells."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Final

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


def rebuild(wallet_id: str, event: AnyEvent) -> AnyCommand | None:
    """The command behind an outcome; None if no command leads to such an event by itself.

    What it said about whose wallet it meant, and in which currency, the event does not tell.
    """
    if isinstance(event, CommandRejected):
        return event.command
    if isinstance(event, Debited | Credited | ToppedUp):
        return _money(wallet_id, event)
    if isinstance(event, Frozen | Unfrozen | Closed):
        return _STATUS[type(event)](wallet_id=wallet_id, reference=event.reference)
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
    return None


def _money(wallet_id: str, event: Debited | Credited | ToppedUp) -> AnyCommand:
    kind: Callable[..., AnyCommand] = TopUp if isinstance(event, ToppedUp) else Debit
    if isinstance(event, Credited):
        end = event.expires_at
        kind = partial(
            Credit,
            expires_at=None if end is None else Instant.of(end),
            priority=event.priority,
        )
    return kind(
        wallet_id=wallet_id,
        reference=event.reference,
        amount=event.amount,
        description=event.description,
        metadata=event.metadata,
    )


def bodies(command: AnyCommand, entry: Entry) -> Iterator[AnyCommand]:
    """Every command that could have led to the entry: what it may have left out comes in turn."""
    yield command
    if isinstance(command, CreateWallet) or isinstance(entry.event, CommandRejected):
        return
    currencies = [None, getattr(entry.event, "currency", None)]
    said = product([None, entry.merchant_id], [None, entry.environment], currencies)
    for merchant_id, environment, currency in said:
        owned = replace(command, merchant_id=merchant_id, environment=environment)
        if isinstance(owned, Debit | Credit | TopUp):
            yield replace(owned, currency=currency)
        elif currency is None:
            yield owned
