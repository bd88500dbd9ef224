"""Events: what has happened to a wallet, as its log tells it for ever.

Told apart by `type`; unknown fields are ignored, so that a reader survives a newer writer.
Amounts are in the currency's minor unit. A lot is named by the version of the entry that made it.
"""

from datetime import datetime
from typing import Any, get_args

from msgspec import Struct

from schemas.commands import PRIORITY_DEFAULT, AnyCommand
from schemas.ids import Environment
from schemas.rejections import RejectionCode


class LotAmount(Struct, frozen=True, gc=False):
    """How much of one lot a debit or a write-off took."""

    lot: int
    amount: int


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every event is."""


class WalletCreated(Event, frozen=True, kw_only=True, tag="wallet_created"):
    """`credit_limit` is how far below 0 the balance may go."""

    reference: str
    merchant_id: str
    environment: Environment
    customer_id: str
    currency: str
    metadata: dict[str, Any] = {}
    credit_limit: int = 0


class _BalanceChanged(Event, frozen=True, kw_only=True):
    amount: int
    currency: str
    balance_before: int
    balance_after: int


class _Referenced(_BalanceChanged, frozen=True, kw_only=True):
    reference: str
    description: str = ""
    metadata: dict[str, Any] = {}


class Debited(_Referenced, frozen=True, kw_only=True, tag="debited"):
    """`lots` say what paid, in the order burnt; `overdrawn` is what no lot paid."""

    lots: list[LotAmount] = []
    overdrawn: int = 0


class Credited(_Referenced, frozen=True, kw_only=True, tag="credited"):
    """`settled` of the amount paid what was owed; the rest went into `lot` (0: nothing was left)."""

    lot: int
    settled: int = 0
    expires_at: datetime | None = None
    priority: int = PRIORITY_DEFAULT


class ToppedUp(_Referenced, frozen=True, kw_only=True, tag="topped_up"):
    """As a credit, paid for; at the bound of lots the money joins an older lot like it."""

    lot: int
    settled: int = 0


class Expired(_BalanceChanged, frozen=True, kw_only=True, tag="expired"):
    """What was left of `lot` was worth nothing from `expires_at` on."""

    lot: int
    expires_at: datetime


class WrittenOff(_Referenced, frozen=True, kw_only=True, tag="written_off"):
    """What a closing wallet still held; a negative amount forgives what was owed."""

    lots: list[LotAmount] = []


class Frozen(Event, frozen=True, kw_only=True, tag="frozen"):
    """Nothing may be taken out."""

    reference: str


class Unfrozen(Event, frozen=True, kw_only=True, tag="unfrozen"):
    """Debits are allowed again."""

    reference: str


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    """Closed for ever."""

    reference: str


class CommandRejected(Event, frozen=True, kw_only=True, tag="command_rejected"):
    """The command, why it was refused, and the wallet's version it was decided at (0: none)."""

    code: RejectionCode
    message: str
    wallet_version: int
    command: AnyCommand


WalletEvent = (
    WalletCreated
    | Debited
    | Credited
    | ToppedUp
    | Expired
    | WrittenOff
    | Frozen
    | Unfrozen
    | Closed
)
AnyEvent = WalletEvent | CommandRejected

TAGS: dict[type[AnyEvent], str] = {
    event: str(event.__struct_config__.tag) for event in get_args(AnyEvent)
}
"""What stands in `type` for each event."""
