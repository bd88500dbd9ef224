"""The read models, filled as plainly as possible: entry by entry, from what each event says.

`apply` takes in the rows of one range of a shard as the statements of projections/sql do, and gives
back what takes it out again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from schemas.commands import PRIORITY_DEFAULT
from schemas.entries import Entry
from schemas.events import (
    Closed,
    Credited,
    Debited,
    Expired,
    Frozen,
    ToppedUp,
    Unfrozen,
    WalletCreated,
    WrittenOff,
)
from tests.simulation.database.errors import unique_violation
from tests.simulation.database.rows import StoredRow

Undo = Callable[[], None]
Moved = Debited | Credited | ToppedUp | Expired | WrittenOff
_MOVED = (Debited, Credited, ToppedUp, Expired, WrittenOff)
_TYPES = {
    ToppedUp: "topup",
    Debited: "debit",
    Credited: "credit",
    Expired: "expiry",
    WrittenOff: "write_off",
}
_ACCOUNTS = {
    ToppedUp: "topups",
    Debited: "usage",
    Credited: "credits",
    Expired: "expired",
    WrittenOff: "written_off",
}
_STATUSES = {Frozen: "frozen", Unfrozen: "active", Closed: "closed"}


class WalletRow(Struct, frozen=True):
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
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class TransactionRow(Struct, frozen=True):
    """A row of `transactions`."""

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
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None


class LotRow(Struct, frozen=True):
    """A row of `lots`; what a wallet owes is its lot 0, negative."""

    shard: int
    wallet_id: str
    lot: int
    remaining: int
    expires_at: datetime | None
    priority: int


class PostingRow(Struct, frozen=True):
    """A row of `postings`."""

    shard: int
    position: int
    line: int
    account: str
    currency: str
    amount: int


class Model(Protocol):
    """One read model."""

    @property
    def rows(self) -> Mapping[Any, Struct]: ...

    @property
    def statements(self) -> dict[str, Callable[[Iterable[StoredRow]], Undo]]:
        """What each of its statements does, by the name of the query, in their order."""
        ...

    def check(self, statement: str, rows: Iterable[StoredRow]) -> None:
        """Raise what the statement would raise."""
        ...


class _Changes(dict[Any, Any]):
    """A table's rows as they were before some changes; None where there was none."""

    def __init__(self, table: dict[Any, Any]) -> None:
        super().__init__()
        self._table = table

    def put(self, key: Any, row: Any) -> None:
        """Set a row of the table, or delete it if `row` is None."""
        self.setdefault(key, self._table.get(key))
        if row is None:
            self._table.pop(key, None)
        else:
            self._table[key] = row

    def undo(self) -> None:
        for key, row in self.items():
            if row is None:
                self._table.pop(key, None)
            else:
                self._table[key] = row


class Wallets:
    """One row per wallet."""

    def __init__(self) -> None:
        self.rows: dict[str, WalletRow] = {}
        self.statements = {"apply_created": self._create, "apply": self._change}

    def check(self, statement: str, rows: Iterable[StoredRow]) -> None:
        if statement != "apply_created":
            return
        created: set[str] = set()
        for row in rows:
            if row.type != "wallet_created":
                continue
            if row.wallet_id in self.rows or row.wallet_id in created:
                raise unique_violation("wallets_1", "wallets_1_pkey", f"({row.wallet_id})")
            created.add(row.wallet_id)

    def _create(self, rows: Iterable[StoredRow]) -> Undo:
        changes = _Changes(self.rows)
        for row in rows:
            if row.type == "wallet_created":
                changes.put(row.wallet_id, _created_wallet(row.entry))
        return changes.undo

    def _change(self, rows: Iterable[StoredRow]) -> Undo:
        changes = _Changes(self.rows)
        for row in rows:
            wallet = self.rows.get(row.wallet_id)
            if row.version is not None and wallet is not None and wallet.version < row.version:
                changes.put(row.wallet_id, _changed_wallet(wallet, row.version, row.entry))
        return changes.undo


def _created_wallet(entry: Entry) -> WalletRow:
    event = entry.event
    assert isinstance(event, WalletCreated)
    assert entry.version is not None
    return WalletRow(
        entry.wallet_id,
        entry.shard,
        event.merchant_id,
        event.environment,
        event.customer_id,
        event.currency,
        "active",
        0,
        entry.version,
        event.metadata,
        entry.occurred_at,
        entry.occurred_at,
    )


def _changed_wallet(wallet: WalletRow, version: int, entry: Entry) -> WalletRow:
    event = entry.event
    return replace(
        wallet,
        version=version,
        updated_at=entry.occurred_at,
        balance=event.balance_after if isinstance(event, _MOVED) else wallet.balance,
        status=_STATUSES.get(type(event), wallet.status),
    )


def _moves(rows: Iterable[StoredRow]) -> Iterator[tuple[Entry, Moved]]:
    for row in rows:
        if row.type in _MOVED_TAGS and isinstance(event := row.entry.event, _MOVED):
            yield row.entry, event


_MOVED_TAGS = {str(event.__struct_config__.tag) for event in _MOVED}


class Transactions:
    """One row per entry that moved money."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], TransactionRow] = {}
        self.statements = {"apply": self._apply}

    def check(self, statement: str, rows: Iterable[StoredRow]) -> None:
        for entry, _ in _moves(rows):
            if (entry.shard, entry.position) in self.rows:
                raise unique_violation(
                    "transactions_1",
                    "transactions_1_pkey",
                    f'(shard, "position")=({entry.shard}, {entry.position})',
                )

    def _apply(self, rows: Iterable[StoredRow]) -> Undo:
        changes = _Changes(self.rows)
        for entry, event in _moves(rows):
            changes.put((entry.shard, entry.position), _transaction(entry, event))
        return changes.undo


def _transaction(entry: Entry, event: Moved) -> TransactionRow:
    told = None if isinstance(event, Expired) else event
    return TransactionRow(
        entry.shard,
        entry.position,
        entry.wallet_id,
        entry.merchant_id,
        entry.environment,
        bytes.fromhex(entry.command_id),
        _TYPES[type(event)],
        event.amount,
        event.currency,
        event.balance_before,
        event.balance_after,
        told.reference if told else None,
        told.description if told else "",
        told.metadata if told else {},
        entry.occurred_at,
        getattr(event, "expires_at", None),
    )


class Lots:
    """What is left of each lot."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str, int], LotRow] = {}
        self.statements = {"apply": self._apply}

    def check(self, statement: str, rows: Iterable[StoredRow]) -> None:
        """It adds to what is there, whatever that is."""

    def _apply(self, rows: Iterable[StoredRow]) -> Undo:
        changes = _Changes(self.rows)
        for entry, event in _moves(rows):
            for lot, amount, expires_at, priority in _lot_changes(event):
                if not amount:
                    continue
                key = (entry.shard, entry.wallet_id, lot)
                kept = self.rows.get(key)
                row = (
                    LotRow(*key, amount, expires_at, priority)
                    if kept is None
                    else replace(kept, remaining=kept.remaining + amount)
                )
                changes.put(key, row if row.remaining else None)
        return changes.undo


def _lot_changes(event: Moved) -> Iterator[tuple[int, int, datetime | None, int]]:
    """(lot, change, expiry, priority)."""
    match event:
        case Credited() | ToppedUp():
            if event.lot:
                yield _filled_lot(event)
            yield 0, event.settled, None, PRIORITY_DEFAULT
        case Expired():
            yield event.lot, -event.amount, None, PRIORITY_DEFAULT
        case _:
            for part in event.lots:
                yield part.lot, -part.amount, None, PRIORITY_DEFAULT
            owed = -event.overdrawn if isinstance(event, Debited) else max(-event.amount, 0)
            yield 0, owed, None, PRIORITY_DEFAULT


def _filled_lot(event: Credited | ToppedUp) -> tuple[int, int, datetime | None, int]:
    amount = event.amount - event.settled
    if isinstance(event, Credited):
        return event.lot, amount, event.expires_at, event.priority
    return event.lot, amount, None, PRIORITY_DEFAULT


class Postings:
    """Two lines for each entry that moved money."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int, int], PostingRow] = {}
        self.statements = {"apply": self._apply}

    def check(self, statement: str, rows: Iterable[StoredRow]) -> None:
        for entry, _ in _moves(rows):
            if (entry.shard, entry.position, 0) in self.rows:
                raise unique_violation(
                    "postings_1",
                    "postings_1_pkey",
                    f'(shard, "position", line)=({entry.shard}, {entry.position}, 0)',
                )

    def _apply(self, rows: Iterable[StoredRow]) -> Undo:
        changes = _Changes(self.rows)
        for entry, event in _moves(rows):
            amount = event.amount if isinstance(event, Credited | ToppedUp) else -event.amount
            counterpart = f"{_ACCOUNTS[type(event)]}:{entry.merchant_id}:{entry.environment}"
            place = (entry.shard, entry.position)
            for line, account, into in (
                (0, f"wallet:{entry.wallet_id}", amount),
                (1, counterpart, -amount),
            ):
                row = PostingRow(*place, line, account, event.currency, into)
                changes.put((*place, line), row)
        return changes.undo


class Models:
    """The four of them, by the names that projections.models has for them."""

    def __init__(self) -> None:
        self.wallets = Wallets()
        self.transactions = Transactions()
        self.lots = Lots()
        self.postings = Postings()

    def __getitem__(self, name: str) -> Model:
        model: Model = getattr(self, name)
        return model
