"""`wallet transactions`: what moved a wallet's money, in the order it happened."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import typer
from asyncpg import Connection
from msgspec import UNSET, Struct, UnsetType

from cli.arguments import JsonOption, WalletArgument, check_wallet_id
from cli.database import connected
from cli.errors import UnknownWalletError
from cli.output import print_json, print_table
from engine.replay import find_shard, read_wallet_events
from engine.settings import load_settings
from schemas.entries import Entry
from schemas.events import Credited, Expired
from schemas.ids import transaction_id
from schemas.money import format_amount
from schemas.resources import TRANSACTION_TYPES, TransactionType

TypeOption = Annotated[
    TransactionType | None, typer.Option("--type", help="Only those of this type.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Only the last N.")
]


class TransactionView(Struct, frozen=True, kw_only=True):
    """A transaction, as printed; the API's fields, and whose it is."""

    id: str
    wallet_id: str
    type: TransactionType
    amount: int
    currency: str
    balance_before: int
    balance_after: int
    reference: str | None
    description: str
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | UnsetType | None = UNSET


def transactions(
    wallet: WalletArgument,
    kind: TypeOption = None,
    limit: LimitOption = None,
    json: JsonOption = False,
) -> None:
    """Print a wallet's transactions, the oldest first, from the log.

    Debits, credits, top-ups, expiries and what a close wrote off. With --json,
    each is one line; amounts are then in the currency's smallest unit.

    For example:
      wallet transactions wal_a1b2c3
      wallet transactions wal_a1b2c3 --type debit --limit 20
      wallet transactions wal_a1b2c3 --json | jq .amount
    """
    check_wallet_id(wallet)
    asyncio.run(_print(wallet, kind, limit, json))


async def _print(
    wallet_id: str, kind: TransactionType | None, limit: int | None, json: bool
) -> None:
    async with connected(load_settings()) as connection:
        shard = await find_shard(connection, wallet_id)
        if shard is None:
            raise UnknownWalletError(f"there is no wallet {wallet_id}")
        header = True
        async for page in _pages(connection, shard, wallet_id, kind, limit):
            if json:
                for view in page:
                    print_json(view)
            elif page or header:
                _print_page(page, header=header)
            header = False
        if header:
            raise UnknownWalletError(f"there is no wallet {wallet_id}")


async def _pages(
    connection: Connection,
    shard: int,
    wallet_id: str,
    kind: TransactionType | None,
    limit: int | None,
) -> AsyncIterator[list[TransactionView]]:
    """Pages of what is to be printed; none at all if there is no such wallet."""
    last: deque[TransactionView] = deque(maxlen=limit)
    exists = False
    async for entries in read_wallet_events(connection, shard, wallet_id):
        exists = True
        views = [_view(entry) for entry in entries if _is_wanted(entry, kind)]
        if limit is None:
            yield views
        last.extend(views)
    if limit is not None and exists:
        yield list(last)


def _is_wanted(entry: Entry, kind: TransactionType | None) -> bool:
    found = TRANSACTION_TYPES.get(type(entry.event))
    return found is not None and kind in {None, found}


def _view(entry: Entry) -> TransactionView:
    event: Any = entry.event
    expires = isinstance(event, Credited | Expired)
    return TransactionView(
        id=transaction_id(entry.shard, entry.command_id),
        wallet_id=entry.wallet_id,
        type=TRANSACTION_TYPES[type(event)],
        amount=event.amount,
        currency=event.currency,
        balance_before=event.balance_before,
        balance_after=event.balance_after,
        reference=getattr(event, "reference", None),
        description=getattr(event, "description", ""),
        metadata=getattr(event, "metadata", {}),
        created_at=entry.occurred_at,
        expires_at=event.expires_at if expires else UNSET,
    )


def _print_page(page: list[TransactionView], *, header: bool) -> None:
    print_table(
        ("time", "type", "amount", "balance", "reference", "description"),
        (
            (
                view.created_at,
                view.type,
                format_amount(_signed(view), view.currency),
                format_amount(view.balance_after, view.currency),
                view.reference,
                view.description,
            )
            for view in page
        ),
        right=("amount", "balance"),
        header=header,
    )


def _signed(view: TransactionView) -> int:
    return view.balance_after - view.balance_before
