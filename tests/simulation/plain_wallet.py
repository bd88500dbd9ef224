"""The rules of a wallet, written as plainly as possible and with nothing of the engine's.

A wallet is a list of single moves of money, and whoever asks what is in it adds up all of them
from the first. Times are microseconds since 1970; commands and events are dicts, as in JSON.
"""

from typing import Any, Final, NamedTuple

AMOUNT_MAX: Final = 2**63 - 1
NEVER: Final = 2**63
DEBT: Final = 0
"""The number of the lot that what is owed stands under, negative."""


class Lot(NamedTuple):
    """Terms of some money that came in together."""

    number: int
    expires_at: int
    priority: int


class PlainWallet:
    """One wallet: its opening, its moves, its lots' terms, and how many entries it has."""

    def __init__(self, opening: dict[str, Any], credit_limit: int = 0) -> None:
        self.merchant_id: str = opening["merchant_id"]
        self.environment: str = opening["environment"]
        self.currency: str = opening["currency"]
        self.credit_limit = credit_limit
        self.status = "active"
        self.entries = 0
        self.lots: list[Lot] = []
        self.moves: list[tuple[int, int]] = []
        self._added_up = 0
        self._left: dict[int, int] = {}

    def is_foreign(self, command: dict[str, Any]) -> bool:
        """Whether the command means another owner's wallet."""
        meant = command.get("merchant_id"), command.get("environment")
        owner = self.merchant_id, self.environment
        return any(name not in {None, own} for name, own in zip(meant, owner, strict=True))

    def move(self, lot: int, amount: int) -> None:
        """Put `amount` into a lot, or take it out if it is negative."""
        if amount:
            self.moves.append((lot, amount))

    def left(self) -> dict[int, int]:
        """What is left of each lot that has anything, and what is owed."""
        if self._added_up != len(self.moves):
            sums: dict[int, int] = {}
            for number, amount in self.moves:
                sums[number] = sums.get(number, 0) + amount
            self._left = {number: amount for number, amount in sums.items() if amount}
            self._added_up = len(self.moves)
        return self._left

    def balance(self) -> int:
        """What all lots hold, less what is owed."""
        return sum(self.left().values())

    def filled_lots(self) -> list[Lot]:
        """The lots that have anything left, oldest first."""
        left = self.left()
        return [lot for lot in self.lots if lot.number in left]


def expire(wallet: PlainWallet, now: int) -> list[tuple[int, dict[str, Any]]]:
    """Take out what is worth nothing at `now`: the version and the event of each lot's end."""
    left = wallet.left()
    over = [lot for lot in wallet.lots if lot.expires_at <= now and lot.number in left]
    events = []
    for lot in sorted(over, key=lambda lot: (lot.expires_at, lot.number)):
        before = wallet.balance()
        wallet.move(lot.number, -left[lot.number])
        wallet.entries += 1
        event = {
            "type": "expired",
            **_moved(wallet, left[lot.number], before),
            "lot": lot.number,
            "expires_at": lot.expires_at,
        }
        events.append((wallet.entries, event))
    return events


def objection(
    wallet: PlainWallet | None, command: dict[str, Any], now: int, lots_max: int
) -> str | None:
    """The code of the first rule that says no."""
    kind, amount = command["type"], command.get("amount", 0)
    if kind == "create_wallet":
        return None if wallet is None else "wallet_exists"
    if wallet is None:
        return "wallet_not_found"
    moves_in, frozen = kind in {"credit", "topup"}, wallet.status == "frozen"
    balance = wallet.balance()
    rules = [
        ("wallet_closed", wallet.status == "closed"),
        ("already_frozen", kind == "freeze" and frozen),
        ("not_frozen", kind == "unfreeze" and not frozen),
        ("wallet_frozen", kind == "debit" and frozen),
        ("currency_mismatch", command.get("currency", wallet.currency) != wallet.currency),
        ("expiry_in_past", command.get("expires_at", NEVER) <= now),
        ("balance_overflow", moves_in and balance + amount > AMOUNT_MAX),
        ("too_many_lots", kind == "credit" and len(wallet.filled_lots()) >= lots_max),
        ("insufficient_funds", kind == "debit" and balance - amount < -wallet.credit_limit),
    ]
    return next((code for code, holds in rules if holds), None)


def do(wallet: PlainWallet, command: dict[str, Any], lots_max: int) -> list[dict[str, Any]]:
    reference = {"reference": command["reference"]}
    match command["type"]:
        case "freeze":
            wallet.status = "frozen"
            return [{"type": "frozen", **reference}]
        case "unfreeze":
            wallet.status = "active"
            return [{"type": "unfrozen", **reference}]
        case "debit":
            return [_debit(wallet, command)]
        case "close":
            written_off = [_write_off(wallet, command)] if wallet.balance() else []
            wallet.status = "closed"
            return [*written_off, {"type": "closed", **reference}]
        case _:
            return [_take_up(wallet, command, lots_max)]


def _debit(wallet: PlainWallet, command: dict[str, Any]) -> dict[str, Any]:
    before = wallet.balance()
    paid = _pay(wallet, command["amount"])
    overdrawn = command["amount"] - sum(part["amount"] for part in paid)
    wallet.move(DEBT, -overdrawn)
    return {
        "type": "debited",
        **_moved(wallet, command["amount"], before),
        **_said(command),
        "lots": paid,
        "overdrawn": overdrawn,
    }


def _pay(wallet: PlainWallet, amount: int) -> list[dict[str, int]]:
    """Burn lots, always the one that is first of what is left, until enough is paid."""
    paid = []
    while amount:
        lots = wallet.filled_lots()
        if not lots:
            break
        first = min(lots, key=lambda lot: (lot.priority, lot.expires_at, lot.number))
        part = min(wallet.left()[first.number], amount)
        wallet.move(first.number, -part)
        paid.append({"lot": first.number, "amount": part})
        amount -= part
    return paid


def _take_up(wallet: PlainWallet, command: dict[str, Any], lots_max: int) -> dict[str, Any]:
    before, amount = wallet.balance(), command["amount"]
    settled = min(-wallet.left().get(DEBT, 0), amount)
    wallet.move(DEBT, settled)
    is_credit = command["type"] == "credit"
    filled = wallet.filled_lots()
    alike = [lot for lot in filled if lot.priority == 100 and lot.expires_at == NEVER]
    if not is_credit and len(filled) >= lots_max and alike:
        number = max(lot.number for lot in alike)
    elif settled == amount:
        number = DEBT
    else:
        number = wallet.entries + 1
        expires_at, priority = command.get("expires_at", NEVER), command.get("priority", 100)
        wallet.lots.append(Lot(number, expires_at, priority))
    wallet.move(number, amount - settled)
    event = {
        **_moved(wallet, amount, before),
        **_said(command),
        "lot": number,
        "settled": settled,
    }
    if not is_credit:
        return {"type": "topped_up", **event}
    terms = {"expires_at": command.get("expires_at"), "priority": command.get("priority", 100)}
    return {"type": "credited", **event, **terms}


def _write_off(wallet: PlainWallet, command: dict[str, Any]) -> dict[str, Any]:
    before = wallet.balance()
    paid = _pay(wallet, max(before, 0))
    wallet.move(DEBT, max(-before, 0))
    return {
        "type": "written_off",
        **_moved(wallet, before, before),
        "reference": command["reference"],
        "description": "",
        "metadata": {},
        "lots": paid,
    }


def _moved(wallet: PlainWallet, amount: int, before: int) -> dict[str, Any]:
    return {
        "amount": amount,
        "currency": wallet.currency,
        "balance_before": before,
        "balance_after": wallet.balance(),
    }


def _said(command: dict[str, Any]) -> dict[str, Any]:
    return {
        "reference": command["reference"],
        "description": command.get("description", ""),
        "metadata": command.get("metadata", {}),
    }


def created(command: dict[str, Any]) -> dict[str, Any]:
    names = ("reference", "merchant_id", "environment", "customer_id", "currency")
    return {
        "type": "wallet_created",
        **{name: command[name] for name in names},
        "metadata": command.get("metadata", {}),
        "credit_limit": 0,
    }
