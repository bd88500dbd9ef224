"""The rules of a wallet: what a command leads to, and what an event makes of the state.

Pure: no I/O, no clock, no randomness.
"""

from datetime import datetime

from msgspec.structs import replace

from engine import lots
from engine.wallet import LOTS_MAX, HistoryError, Lot, Status, Wallet
from schemas.commands import (
    PRIORITY_DEFAULT,
    AnyCommand,
    Close,
    CreateWallet,
    Credit,
    Debit,
    Freeze,
    TopUp,
    Unfreeze,
)
from schemas.events import (
    Closed,
    Credited,
    Debited,
    Expired,
    Frozen,
    LotAmount,
    ToppedUp,
    Unfrozen,
    WalletCreated,
    WalletEvent,
    WrittenOff,
)
from schemas.instants import to_text
from schemas.money import AMOUNT_MAX, format_amount
from schemas.rejections import Rejection

__all__ = ["Decision", "HistoryError", "decide", "evolve", "expire_due", "is_foreign"]

Decision = tuple[WalletEvent, ...] | Rejection


def decide(wallet: Wallet | None, command: AnyCommand, now: datetime) -> Decision:
    """What `command` leads to at `now`: its events, the outcome last, or why it is refused.

    Lots that are due at `now` are worth nothing. Where `expire_due` has not been applied before,
    their `Expired` events come first.
    """
    if isinstance(command, CreateWallet):
        return _create(wallet, command)
    if wallet is None or is_foreign(wallet, command):
        return Rejection(
            "wallet_not_found", f"There is no wallet {command.wallet_id}; create it first."
        )
    if wallet.status == "closed":
        return Rejection("wallet_closed", "The wallet is closed for ever; use another one.")
    if wallet.next_expiry is not None and wallet.next_expiry <= now:
        expired = expire_due(wallet, now)
        for event in expired:
            wallet = evolve(wallet, event)
        decision = _decide_live(wallet, command, now)
        return decision if isinstance(decision, Rejection) else (*expired, *decision)
    return _decide_live(wallet, command, now)


def is_foreign(wallet: Wallet, command: AnyCommand) -> bool:
    """Whether the command names another merchant or environment than the wallet's.

    Its refusal must not take up the reference, which is the owner's to use.
    """
    return (command.merchant_id is not None and command.merchant_id != wallet.merchant_id) or (
        command.environment is not None and command.environment != wallet.environment
    )


def expire_due(wallet: Wallet, now: datetime) -> tuple[Expired, ...]:
    """One event for each lot that is worth nothing at `now`, earliest expiry first."""
    if wallet.next_expiry is None or wallet.next_expiry > now:
        return ()
    events = []
    balance = wallet.balance
    for expires_at, lot in lots.due(wallet.lots, now):
        events.append(
            Expired(
                amount=lot.remaining,
                currency=wallet.currency,
                balance_before=balance,
                balance_after=balance - lot.remaining,
                lot=lot.id,
                expires_at=expires_at,
            )
        )
        balance -= lot.remaining
    return tuple(events)


def _create(wallet: Wallet | None, command: CreateWallet) -> Decision:
    if wallet is not None:
        return Rejection("wallet_exists", f"There is a wallet {command.wallet_id} already.")
    return (
        WalletCreated(
            reference=command.reference,
            merchant_id=command.merchant_id,
            environment=command.environment,
            customer_id=command.customer_id,
            currency=command.currency,
            metadata=command.metadata,
        ),
    )


def _decide_live(
    wallet: Wallet,
    command: Debit | Credit | TopUp | Freeze | Unfreeze | Close,
    now: datetime,
) -> Decision:
    if isinstance(command, Debit):
        return _debit(wallet, command)
    if isinstance(command, TopUp):
        return _top_up(wallet, command)
    if isinstance(command, Credit):
        return _credit(wallet, command, now)
    if isinstance(command, Freeze):
        return _freeze(wallet, command)
    if isinstance(command, Unfreeze):
        return _unfreeze(wallet, command)
    return _close(wallet, command)


def _debit(wallet: Wallet, command: Debit) -> Decision:
    if wallet.status == "frozen":
        return Rejection("wallet_frozen", "The wallet is frozen; unfreeze it before debiting.")
    if command.currency is not None and command.currency != wallet.currency:
        return _currency_mismatch(wallet, command.currency)
    amount = command.amount
    balance = wallet.balance
    if amount > balance + wallet.credit_limit:
        return _insufficient_funds(wallet, amount)
    parts = lots.choose(wallet.lots, amount)
    return (
        Debited(
            amount=amount,
            currency=wallet.currency,
            balance_before=balance,
            balance_after=balance - amount,
            reference=command.reference,
            description=command.description,
            metadata=command.metadata,
            lots=parts,
            overdrawn=max(0, amount - balance - wallet.owed),
        ),
    )


def _credit(wallet: Wallet, command: Credit, now: datetime) -> Decision:
    if command.currency is not None and command.currency != wallet.currency:
        return _currency_mismatch(wallet, command.currency)
    expires_at = command.expires_at
    if expires_at is not None and expires_at <= now:
        return Rejection(
            "expiry_in_past",
            f"expires_at is {to_text(expires_at)} and it is {to_text(now)}; give a later time.",
        )
    if wallet.balance + command.amount > AMOUNT_MAX:
        return _balance_overflow(wallet, command.amount)
    if len(wallet.lots) >= LOTS_MAX:
        return Rejection(
            "too_many_lots",
            f"The wallet holds {len(wallet.lots)} lots of money and may hold {LOTS_MAX}; "
            "burn some before crediting more.",
        )
    settled = min(wallet.owed, command.amount)
    return (
        Credited(
            amount=command.amount,
            currency=wallet.currency,
            balance_before=wallet.balance,
            balance_after=wallet.balance + command.amount,
            reference=command.reference,
            description=command.description,
            metadata=command.metadata,
            lot=wallet.version + 1 if settled < command.amount else 0,
            settled=settled,
            expires_at=None if expires_at is None else expires_at.plain(),
            priority=command.priority,
        ),
    )


def _top_up(wallet: Wallet, command: TopUp) -> Decision:
    if command.currency is not None and command.currency != wallet.currency:
        return _currency_mismatch(wallet, command.currency)
    if wallet.balance + command.amount > AMOUNT_MAX:
        return _balance_overflow(wallet, command.amount)
    settled = min(wallet.owed, command.amount)
    lot = wallet.version + 1 if settled < command.amount else 0
    # paid money is never refused for the bound of lots
    if len(wallet.lots) >= LOTS_MAX and (alike := lots.newest_alike(wallet.lots)) is not None:
        lot = alike.id
    return (
        ToppedUp(
            amount=command.amount,
            currency=wallet.currency,
            balance_before=wallet.balance,
            balance_after=wallet.balance + command.amount,
            reference=command.reference,
            description=command.description,
            metadata=command.metadata,
            lot=lot,
            settled=settled,
        ),
    )


def _freeze(wallet: Wallet, command: Freeze) -> Decision:
    if wallet.status == "frozen":
        return Rejection("already_frozen", "The wallet is frozen already.")
    return (Frozen(reference=command.reference),)


def _unfreeze(wallet: Wallet, command: Unfreeze) -> Decision:
    if wallet.status != "frozen":
        return Rejection("not_frozen", "The wallet is not frozen.")
    return (Unfrozen(reference=command.reference),)


def _close(wallet: Wallet, command: Close) -> Decision:
    closed = Closed(reference=command.reference)
    if wallet.balance == 0:
        return (closed,)
    written_off = WrittenOff(
        amount=wallet.balance,
        currency=wallet.currency,
        balance_before=wallet.balance,
        balance_after=0,
        reference=command.reference,
        lots=lots.choose(wallet.lots, wallet.balance),
    )
    return written_off, closed


def _currency_mismatch(wallet: Wallet, currency: str) -> Rejection:
    return Rejection(
        "currency_mismatch",
        f"The wallet is held in {wallet.currency}; the command says {currency}.",
    )


def _insufficient_funds(wallet: Wallet, amount: int) -> Rejection:
    held = format_amount(wallet.balance, wallet.currency)
    limit = wallet.credit_limit
    below = f" with a credit limit of {format_amount(limit, wallet.currency)}" if limit else ""
    return Rejection(
        "insufficient_funds",
        f"The balance is {held}{below}; the debit is {format_amount(amount, wallet.currency)}.",
    )


def _balance_overflow(wallet: Wallet, amount: int) -> Rejection:
    return Rejection(
        "balance_overflow",
        f"A balance of {wallet.balance} and {amount} more would be above {AMOUNT_MAX}, "
        "the most a wallet can hold.",
    )


def evolve(wallet: Wallet | None, event: WalletEvent) -> Wallet:
    """The state after `event`; raises HistoryError if it can't follow."""
    if wallet is None:
        return _opened(event)
    if isinstance(event, Debited):
        return _shrunk(wallet, event, event.lots, event.overdrawn)
    if isinstance(event, Credited | ToppedUp):
        return _grown(wallet, event)
    if isinstance(event, Expired):
        return _shrunk(wallet, event, [LotAmount(event.lot, event.amount)], 0)
    if isinstance(event, WrittenOff):
        return _shrunk(wallet, event, event.lots, min(event.amount, 0))
    if isinstance(event, WalletCreated):
        raise HistoryError("WalletCreated comes a second time.")
    return replace(wallet, status=_STATUS_AFTER[type(event)], version=wallet.version + 1)


_STATUS_AFTER: dict[type[WalletEvent], Status] = {
    Frozen: "frozen",
    Unfrozen: "active",
    Closed: "closed",
}


def _opened(event: WalletEvent) -> Wallet:
    if not isinstance(event, WalletCreated):
        raise HistoryError(f"{type(event).__name__} comes before WalletCreated.")
    return Wallet(
        merchant_id=event.merchant_id,
        environment=event.environment,
        customer_id=event.customer_id,
        currency=event.currency,
        status="active",
        version=1,
        balance=0,
        owed=0,
        credit_limit=event.credit_limit,
        lots=(),
        next_expiry=None,
    )


def _grown(wallet: Wallet, event: Credited | ToppedUp) -> Wallet:
    version = wallet.version + 1
    held = wallet.lots
    kept = event.amount - event.settled
    if event.lot == version:
        held = lots.insert(held, _new_lot(version, kept, event))
    elif event.lot:
        held = lots.join(held, event.lot, kept)
    elif kept:
        raise HistoryError(f"{kept} of a credit are in no lot.")
    return _holding(wallet, event, event.amount, held, wallet.owed - event.settled)


def _new_lot(version: int, remaining: int, event: Credited | ToppedUp) -> Lot:
    if isinstance(event, Credited):
        return Lot(version, remaining, event.expires_at, event.priority)
    return Lot(version, remaining, None, PRIORITY_DEFAULT)


def _shrunk(
    wallet: Wallet,
    event: Debited | Expired | WrittenOff,
    parts: list[LotAmount],
    overdrawn: int,
) -> Wallet:
    held = lots.take(wallet.lots, parts)
    taken = overdrawn
    for part in parts:
        taken += part.amount
    return _holding(wallet, event, -taken, held, wallet.owed + overdrawn)


def _holding(
    wallet: Wallet,
    event: Debited | Credited | ToppedUp | Expired | WrittenOff,
    change: int,
    held: tuple[Lot, ...],
    owed: int,
) -> Wallet:
    balance = wallet.balance + change
    if event.balance_before != wallet.balance or event.balance_after != balance:
        raise HistoryError(
            f"An event tells of {event.balance_before} becoming {event.balance_after}; "
            f"the wallet's {wallet.balance} became {balance}."
        )
    as_many = len(held) == len(wallet.lots)
    # by place: the hottest line of a replay, and names cost half as much again
    return Wallet(
        wallet.merchant_id,
        wallet.environment,
        wallet.customer_id,
        wallet.currency,
        wallet.status,
        wallet.version + 1,
        balance,
        owed,
        wallet.credit_limit,
        held,
        wallet.next_expiry if as_many else lots.earliest_expiry(held),
    )
