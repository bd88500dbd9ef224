"""`wallet show`: a wallet as it stands, or stood at a time."""

import asyncio
from datetime import datetime
from typing import Annotated

import typer
from msgspec import Struct

from cli.arguments import JsonOption, WalletArgument, check_wallet_id, parse_time
from cli.database import connected
from cli.errors import UnknownWalletError
from cli.output import print_json, print_table, say
from engine.replay import WalletAt, WalletState, wallet_at
from engine.settings import load_settings
from engine.wallet import Lot, Status
from schemas.ids import Environment
from schemas.instants import to_text
from schemas.money import format_amount

AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="As it stood then: 2026-05-24T10:00:00Z."),
]


class LotView(Struct, frozen=True, kw_only=True):
    """One lot, as printed."""

    lot: int
    remaining: int
    expires_at: datetime | None
    priority: int


class WalletView(Struct, frozen=True, kw_only=True):
    """A wallet, as printed. Amounts are in the currency's minor unit."""

    wallet_id: str
    at: datetime
    final: bool
    merchant_id: str
    environment: Environment
    customer_id: str
    status: Status
    currency: str
    balance: int
    balance_formatted: str
    owed: int
    credit_limit: int
    lots: list[LotView]
    next_expiry: datetime | None
    created_at: datetime
    changed_at: datetime
    version: int
    shard: int


def show(wallet: WalletArgument, at: AtOption = None, json: JsonOption = False) -> None:
    """Show what a wallet holds, now or at any time, replayed from the log.

    An answer about a time is final once nothing can be added before it any more,
    which is 15 seconds later; the answer says so. Credit that has run out by then
    is not counted, to the microsecond. Lots stand in the order they are burnt.

    For example:
      wallet show wal_a1b2c3
      wallet show wal_a1b2c3 --at 2026-05-24T10:00:00Z
      wallet show wal_a1b2c3 --json
    """
    check_wallet_id(wallet)
    view = asyncio.run(_read(wallet, parse_time(at)))
    if json:
        print_json(view)
    else:
        _print(view)


async def _read(wallet_id: str, at: datetime | None) -> WalletView:
    async with connected(load_settings()) as connection:
        found = await wallet_at(connection, wallet_id, at)
    if found is None or found.state is None:
        then = f" at {to_text(at)}" if at else ""
        raise UnknownWalletError(f"there is no wallet {wallet_id}{then}")
    return _view(found, found.state)


def _view(found: WalletAt, state: WalletState) -> WalletView:
    wallet = state.wallet
    return WalletView(
        wallet_id=found.wallet_id,
        at=found.at,
        final=found.final,
        merchant_id=wallet.merchant_id,
        environment=wallet.environment,
        customer_id=wallet.customer_id,
        status=wallet.status,
        currency=wallet.currency,
        balance=wallet.balance,
        balance_formatted=format_amount(wallet.balance, wallet.currency),
        owed=wallet.owed,
        credit_limit=wallet.credit_limit,
        lots=[_lot(lot) for lot in wallet.lots],
        next_expiry=wallet.next_expiry,
        created_at=state.created_at,
        changed_at=state.changed_at,
        version=wallet.version,
        shard=found.shard,
    )


def _lot(lot: Lot) -> LotView:
    return LotView(
        lot=lot.id, remaining=lot.remaining, expires_at=lot.expires_at, priority=lot.priority
    )


def _print(view: WalletView) -> None:
    settled = "final" if view.final else "not final: earlier entries may still come"
    say(f"{view.wallet_id} at {to_text(view.at)} ({settled})\n")
    money = {"balance": view.balance, "owed": view.owed, "credit limit": view.credit_limit}
    shown = {name: format_amount(amount, view.currency) for name, amount in money.items()}
    facts = {
        **shown,
        "status": view.status,
        "customer": view.customer_id,
        "merchant": f"{view.merchant_id}, {view.environment}",
        "created": view.created_at,
        "changed": view.changed_at,
        "entries": f"{view.version} in shard {view.shard}",
    }
    print_table(("", ""), facts.items(), header=False)
    if view.lots:
        rows = [
            (lot.lot, format_amount(lot.remaining, view.currency), lot.expires_at, lot.priority)
            for lot in view.lots
        ]
        say("")
        print_table(("lot", "remaining", "expires", "priority"), rows, right=("lot", "remaining"))
