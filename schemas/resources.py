"""Resources: what the API answers with, as JSON.

Amounts are integers in the currency's minor unit, times RFC 3339 in UTC with Z.
"""

import unicodedata
from datetime import datetime
from functools import cache
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from babel.numbers import get_currency_symbol
from msgspec import UNSET, Struct, UnsetType

from schemas.events import (
    AnyEvent,
    Credited,
    Debited,
    Expired,
    ToppedUp,
    WrittenOff,
)
from schemas.money import format_amount, format_decimal, is_currency

TransactionType = Literal["topup", "debit", "credit", "expiry", "write_off"]
WalletStatus = Literal["active", "frozen", "closed"]
TopupStatus = Literal["pending", "succeeded", "cancelled", "expired", "failed"]

TRANSACTION_TYPES: Final[dict[type[AnyEvent], TransactionType]] = {
    ToppedUp: "topup",
    Debited: "debit",
    Credited: "credit",
    Expired: "expiry",
    WrittenOff: "write_off",
}
"""What the events that move money are as transactions."""

_LOCALE = "en_GH"
_NO_BREAK_SPACE = "\u00a0"

Item = TypeVar("Item")


class Wallet(Struct, frozen=True, kw_only=True):
    """A wallet and what is in it at the moment of the answer; `metadata` is a JSON object."""

    id: str
    customer_id: str
    currency: str
    balance: int
    balance_formatted: str
    status: WalletStatus
    created_at: datetime
    metadata: msgspec.Raw


class Lot(Struct, frozen=True, kw_only=True):
    """Money that came in at once and is not spent: `remaining`, worth nothing from `expires_at` on.

    What has the lower `priority` is spent first.
    """

    remaining: int
    expires_at: datetime | None
    priority: int


class WalletDetail(Wallet, frozen=True, kw_only=True):
    """A wallet with its live lots, in the order in which debits spend them."""

    lots: list[Lot]


class Transaction(Struct, frozen=True, kw_only=True):
    """Money that moved. An expiry has no reference; only a credit has `expires_at`."""

    id: str
    type: TransactionType
    amount: int
    balance_before: int
    balance_after: int
    reference: str | None
    description: str
    metadata: msgspec.Raw | dict[str, Any]
    created_at: datetime
    expires_at: datetime | UnsetType | None = UNSET


class Topup(Struct, frozen=True, kw_only=True):
    """A top-up and its checkout, where the customer pays until `expires_at`."""

    id: str
    wallet_id: str
    amount: int
    currency: str
    status: TopupStatus
    checkout_url: str
    redirect_url: str
    cancel_url: str | None
    expires_at: datetime
    created_at: datetime


class ResourceList(Struct, Generic[Item], frozen=True):
    """A page of a list, newest first. `has_more`: older ones follow `data`'s last item."""

    data: list[Item]
    has_more: bool


class Failure(Struct, frozen=True, kw_only=True):
    """Why there is no answer, as a sentence for the caller."""

    success: bool = False
    error: str


def format_balance(amount: int, currency: str) -> str:
    """`amount` minor units as people in Ghana write it: `GH₵1,234.50`, `-US$0.05`, `CHF 1.00`.

    The symbol is CLDR's. The digits are ISO 4217's, for CLDR drops some that are money.
    """
    if not is_currency(currency):
        return format_amount(amount, currency)
    sign = "-" if amount < 0 else ""
    return f"{sign}{_symbol(currency)}{format_decimal(abs(amount), currency)}"


@cache
def _symbol(currency: str) -> str:
    symbol = get_currency_symbol(currency, _LOCALE)
    # CLDR's rule for the gap: none after a currency sign, one after a letter or a dot
    is_sign = unicodedata.category(symbol[-1]).startswith("S")
    return symbol if is_sign else symbol + _NO_BREAK_SPACE
