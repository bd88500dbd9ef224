"""What the read models have to hold, by plain replay: the decider's evolve, entry by entry.

It shares nothing with the SQL that fills the models, so that each can be held against the other.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from engine.decider import evolve
from engine.wallet import Wallet
from projections.errors import ReplayFailedError
from projections.spool import Codec, Spool
from schemas.commands import PRIORITY_DEFAULT
from schemas.entries import Entry
from schemas.events import (
    AnyEvent,
    CommandRejected,
    Credited,
    Debited,
    Expired,
    ToppedUp,
    WalletCreated,
    WalletEvent,
    WrittenOff,
)
from schemas.money import AMOUNT_MAX
from schemas.resources import TRANSACTION_TYPES

Metadata = dict[str, tuple[str, object]]
"""Metadata that compares as JSON does: 5 equals 5.0, and true does not equal 1."""

Columns = tuple[Any, ...]
"""What a row holds, in the order of its fields: equal to the record that was read, if all is well."""

Evolve = Callable[[Wallet | None, WalletEvent], Wallet]

OWED_LOT: Final = 0
"""The lot number that what a wallet owes stands under, negative."""

COUNTER_ACCOUNTS: Final[dict[type[AnyEvent], str]] = {
    ToppedUp: "topups",
    Debited: "usage",
    Credited: "credits",
    Expired: "expired",
    WrittenOff: "written_off",
}


_MOVES_MONEY: Final = (Debited, Credited, ToppedUp, Expired, WrittenOff)
_RUNS_OUT: Final = (Credited, Expired)

_NO_METADATA: Final = "{}"

_read_json = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal).decode


class JsonOf:
    """Metadata of an event; equals every JSON text of the same."""

    __slots__ = ("_metadata",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, metadata: dict[str, Any]) -> None:
        self._metadata = metadata

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        found = _read_json(other)
        return isinstance(found, dict) and _comparable_values(found) == _comparable_values(
            self._metadata
        )

    def __repr__(self) -> str:
        return repr(json.dumps(self._metadata, ensure_ascii=False))


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
    metadata: JsonOf | str
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
    metadata: JsonOf | str
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

    def __init__(self, shard: int, spool: Spool, evolved: Evolve = evolve) -> None:
        self.shard = shard
        self._evolved = evolved
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
            wallet = self._evolved(None if opened is None else opened.wallet, event)
        except ValueError as error:
            raise ReplayFailedError(
                f"Entry {entry.position} of shard {entry.shard} cannot follow the ones before it: "
                f"{error} Run `wallet verify`."
            ) from error
        if not -AMOUNT_MAX <= wallet.balance <= AMOUNT_MAX:
            raise ReplayFailedError(
                f"After entry {entry.position} of shard {entry.shard} the balance does not fit 64 "
                "bits. Run `wallet verify`."
            )
        if opened is not None:
            self._wallets[entry.wallet_id] = _Opened(
                wallet, opened.metadata, opened.created_at, entry.occurred_at
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
                metadata=_expected_json(opened.metadata),
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


def transaction_rows(entries: Iterable[Entry]) -> list[Columns]:
    """The rows of `transactions` for entries, as `TransactionRow`: one for each that moved money."""
    rows: list[Columns] = []
    for entry in entries:
        event = entry.event
        if not isinstance(event, _MOVES_MONEY):
            continue
        described = None if isinstance(event, Expired) else event
        rows.append(
            (
                entry.shard,
                entry.position,
                entry.wallet_id,
                entry.merchant_id,
                entry.environment,
                bytes.fromhex(entry.command_id),
                TRANSACTION_TYPES[type(event)],
                event.amount,
                event.currency,
                event.balance_before,
                event.balance_after,
                None if described is None else described.reference,
                "" if described is None else described.description,
                _NO_METADATA if described is None else _expected_json(described.metadata),
                entry.occurred_at,
                event.expires_at if isinstance(event, _RUNS_OUT) else None,
            )
        )
    return rows


def posting_rows(entries: Iterable[Entry]) -> list[Columns]:
    """The rows of `postings` for entries, as `PostingRow`.

    The wallet's line, then its merchant's, of each that moved money.
    """
    rows: list[Columns] = []
    for entry in entries:
        event = entry.event
        if not isinstance(event, _MOVES_MONEY):
            continue
        shard, position, currency = entry.shard, entry.position, event.currency
        wallet = f"wallet:{entry.wallet_id}"
        counter = f"{COUNTER_ACCOUNTS[type(event)]}:{entry.merchant_id}:{entry.environment}"
        change = event.balance_after - event.balance_before
        rows.append((shard, position, 0, wallet, currency, change))
        rows.append((shard, position, 1, counter, currency, -change))
    return rows


def comparable_metadata(metadata: dict[str, Any] | str) -> Metadata:
    """Metadata of an event, or the JSON text of a model's column, so that the two compare."""
    return _comparable_values(_read_json(metadata) if isinstance(metadata, str) else metadata)


def _expected_json(metadata: dict[str, Any]) -> JsonOf | str:
    return JsonOf(metadata) if metadata else _NO_METADATA


def _comparable_values(metadata: dict[str, Any]) -> Metadata:
    return {key: _comparable(value) for key, value in metadata.items()}


def _comparable(value: object) -> tuple[str, object]:
    if isinstance(value, float):
        # the shortest text that reads back is what the entry holds
        return "number", Decimal(repr(value))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return "number", Decimal(value)
    return type(value).__name__, value
