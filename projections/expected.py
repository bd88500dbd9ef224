"""What the read models have to hold, by plain replay: the decider's evolve, entry by entry.

It shares nothing with the SQL that fills the models, so that each can be held against the other.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.decider import evolve
from engine.wallet import Wallet
from projections.errors import ReplayFailedError
from projections.spool import Codec, Spool
from schemas.commands import PRIORITY_DEFAULT
from schemas.entries import Entry
from schemas.events import (
    CommandRejected,
    Credited,
    Debited,
    Expired,
    ToppedUp,
    WalletCreated,
    WrittenOff,
)
from schemas.money import AMOUNT_MAX
from schemas.resources import TRANSACTION_TYPES

Metadata = dict[str, tuple[str, object]]
"""Metadata that compares as JSON does: 5 equals 5.0, and true does not equal 1."""

OWED_LOT: Final = 0
"""The lot number that what a wallet owes stands under, negative."""

COUNTER_ACCOUNTS: Final = {
    ToppedUp: "topups",
    Debited: "usage",
    Credited: "credits",
    Expired: "expired",
    WrittenOff: "written_off",
}


class WalletRow(NamedTuple):
    """A row of `wallets`."""

    wallet_id: str
    shard: int
    merchant_id: str
    environment: str
    customer_id: str
    currency: str
    status: str
    balance: int
    version: int
    metadata: Metadata
    created_at: datetime
    updated_at: datetime


class LotRow(NamedTuple):
    """A row of `lots`."""

    shard: int
    wallet_id: str
    lot: int
    remaining: int
    expires_at: datetime | None
    priority: int


class TransactionRow(NamedTuple):
    """A row of `transactions`, without the id that the view makes of shard and command id."""

    shard: int
    position: int
    wallet_id: str
    merchant_id: str | None
    environment: str | None
    command_id: bytes
    type: str
    amount: int
    currency: str
    balance_before: int
    balance_after: int
    reference: str | None
    description: str
    metadata: Metadata
    created_at: datetime
    expires_at: datetime | None


class PostingRow(NamedTuple):
    """A row of `postings`."""

    shard: int
    position: int
    line: int
    account: str
    currency: str
    amount: int


class _Opened(Struct, frozen=True, gc=False):
    wallet: Wallet
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


_OPENED: Final = Codec[_Opened](
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder(_Opened).decode,
    lambda opened: 1 + len(opened.wallet.lots),
)


class ExpectedShard:
    """One shard's wallets and lots after the entries applied so far, which are in the spool."""

    def __init__(self, shard: int, spool: Spool) -> None:
        self.shard = shard
        self._wallets = spool.map("expected_wallets", _OPENED)

    def wallet(self, wallet_id: str) -> Wallet | None:
        """Its state so far; None before it is created."""
        opened = self._wallets.get(wallet_id)
        return opened.wallet if opened else None

    def apply(self, entry: Entry) -> None:
        """Take in the next entry; raises ReplayFailedError if it cannot follow."""
        event = entry.event
        if isinstance(event, CommandRejected):
            return
        opened = self._wallets.get(entry.wallet_id)
        try:
            wallet = evolve(opened.wallet if opened else None, event)
        except ValueError as error:
            raise ReplayFailedError(
                f"Entry {entry.position} of shard {entry.shard} cannot follow the ones before it: "
                f"{error} Run `wallet verify`."
            ) from error
        if not abs(wallet.balance) <= AMOUNT_MAX:
            raise ReplayFailedError(
                f"After entry {entry.position} of shard {entry.shard} the balance does not fit 64 "
                "bits. Run `wallet verify`."
            )
        if opened is not None:
            self._wallets[entry.wallet_id] = replace(
                opened, wallet=wallet, updated_at=entry.occurred_at
            )
        elif isinstance(event, WalletCreated):
            self._wallets[entry.wallet_id] = _Opened(
                wallet, event.metadata, entry.occurred_at, entry.occurred_at
            )

    def wallets(self) -> Iterator[WalletRow]:
        """Rows of `wallets`, in the order of their ids."""
        for wallet_id, opened in self._wallets.items():
            wallet = opened.wallet
            yield WalletRow(
                wallet_id=wallet_id,
                shard=self.shard,
                merchant_id=wallet.merchant_id,
                environment=wallet.environment,
                customer_id=wallet.customer_id,
                currency=wallet.currency,
                status=wallet.status,
                balance=wallet.balance,
                version=wallet.version,
                metadata=comparable_metadata(opened.metadata),
                created_at=opened.created_at,
                updated_at=opened.updated_at,
            )

    def lots(self) -> Iterator[LotRow]:
        """Rows of `lots`, in the order of wallet and lot: what is owed, and what is left."""
        for wallet_id, opened in self._wallets.items():
            wallet = opened.wallet
            if wallet.owed:
                yield LotRow(self.shard, wallet_id, OWED_LOT, -wallet.owed, None, PRIORITY_DEFAULT)
            for lot in sorted(wallet.lots, key=lambda lot: lot.id):
                yield LotRow(
                    self.shard, wallet_id, lot.id, lot.remaining, lot.expires_at, lot.priority
                )


def transaction_row(entry: Entry) -> TransactionRow | None:
    """The row of `transactions` for an entry; None if it moved no money."""
    event = entry.event
    if not isinstance(event, Debited | Credited | ToppedUp | Expired | WrittenOff):
        return None
    described = None if isinstance(event, Expired) else event
    return TransactionRow(
        shard=entry.shard,
        position=entry.position,
        wallet_id=entry.wallet_id,
        merchant_id=entry.merchant_id,
        environment=entry.environment,
        command_id=bytes.fromhex(entry.command_id),
        type=TRANSACTION_TYPES[type(event)],
        amount=event.amount,
        currency=event.currency,
        balance_before=event.balance_before,
        balance_after=event.balance_after,
        reference=described.reference if described else None,
        description=described.description if described else "",
        metadata=comparable_metadata(described.metadata if described else {}),
        created_at=entry.occurred_at,
        expires_at=event.expires_at if isinstance(event, Credited | Expired) else None,
    )


def posting_rows(entry: Entry) -> tuple[PostingRow, ...]:
    """The rows of `postings` for an entry: the wallet's line and its merchant's, or none."""
    event = entry.event
    if not isinstance(event, Debited | Credited | ToppedUp | Expired | WrittenOff):
        return ()
    wallet = f"wallet:{entry.wallet_id}"
    counter = f"{COUNTER_ACCOUNTS[type(event)]}:{entry.merchant_id}:{entry.environment}"
    change = event.balance_after - event.balance_before
    return (
        PostingRow(entry.shard, entry.position, 0, wallet, event.currency, change),
        PostingRow(entry.shard, entry.position, 1, counter, event.currency, -change),
    )


def comparable_metadata(metadata: dict[str, Any] | str) -> Metadata:
    """Metadata of an event, or the JSON text of a model's column, so that the two compare."""
    values: dict[str, Any] = (
        json.loads(metadata, parse_float=Decimal, parse_int=Decimal)
        if isinstance(metadata, str)
        else metadata
    )
    return {key: _comparable(value) for key, value in values.items()}


def _comparable(value: object) -> tuple[str, object]:
    if isinstance(value, float):
        # the shortest text that reads back is what the entry holds
        return "number", Decimal(repr(value))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return "number", Decimal(value)
    return type(value).__name__, value
