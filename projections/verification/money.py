"""Is all the money that came in still there, spent, expired or written off?

Counted per currency at one instant, over every entry up to it. A lot that has run out by then
counts as expired, whether or not its entry stands yet.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.wallet import Wallet
from projections.verification.findings import Findings
from schemas.entries import Entry
from schemas.events import AnyEvent, Credited, Debited, Expired, ToppedUp, WrittenOff
from schemas.money import format_amount

_SUMS: Final[dict[type[AnyEvent], str]] = {
    ToppedUp: "topped_up",
    Credited: "credited",
    Debited: "debited",
    Expired: "expired",
    WrittenOff: "written_off",
}
_MOVES_MONEY: Final = (ToppedUp, Credited, Debited, Expired, WrittenOff)


class MoneyLine(Struct, kw_only=True):
    """One currency's books at the instant, in its minor unit.

    `run_out` is what lots held that had run out with no entry yet; `balances` leaves it out.
    """

    currency: str
    topped_up: int = 0
    credited: int = 0
    debited: int = 0
    expired: int = 0
    run_out: int = 0
    written_off: int = 0
    balances: int = 0
    wallets: int = 0

    @property
    def expected(self) -> int:
        """What the balances have to come to."""
        came_in = self.topped_up + self.credited
        return came_in - self.debited - self.expired - self.run_out - self.written_off


class Books(Struct, kw_only=True):
    """The lines so far, by currency, and whether the instant has come."""

    lines: dict[str, MoneyLine] = {}
    closed: bool = False


class Ledger:
    """The books of one shard up to `instant`; `at` is what to go on from."""

    def __init__(self, instant: datetime, at: Books | None = None) -> None:
        self.at = at or Books()
        self._instant = instant

    def reach(self, entries: Sequence[Entry]) -> int:
        """How many of the next entries come before the first one that is past the instant."""
        instant = self._instant
        if not self.at.closed:
            for place, entry in enumerate(entries):
                if entry.occurred_at > instant:
                    return place
        return len(entries)

    def take(self, entries: Iterable[Entry]) -> None:
        """Takes the next entries; what comes after the close does not count."""
        if self.at.closed:
            return
        moved: dict[tuple[str, str], int] = {}
        for entry in entries:
            event = entry.event
            if isinstance(event, _MOVES_MONEY):
                place = _SUMS[type(event)], event.currency
                moved[place] = moved.get(place, 0) + event.amount
        for (name, currency), amount in moved.items():
            line = self._line(currency)
            setattr(line, name, getattr(line, name) + amount)

    def close(self, wallets: Iterable[Wallet]) -> list[MoneyLine]:
        """Counts the balances, unless the instant has come before; gives the books."""
        if not self.at.closed:
            self.at.closed = True
            for wallet in wallets:
                self._count(wallet)
        return list(self.at.lines.values())

    def _count(self, wallet: Wallet) -> None:
        line = self._line(wallet.currency)
        line.wallets += 1
        line.balances -= wallet.owed
        for lot in wallet.lots:
            if lot.expires_at is None or lot.expires_at > self._instant:
                line.balances += lot.remaining
            else:
                line.run_out += lot.remaining

    def _line(self, currency: str) -> MoneyLine:
        return self.at.lines.setdefault(currency, MoneyLine(currency=currency))


def add_up(books: Iterable[list[MoneyLine]]) -> list[MoneyLine]:
    """The books of several shards as one, by currency."""
    total: dict[str, MoneyLine] = {}
    for line in (line for lines in books for line in lines):
        into = total.setdefault(line.currency, MoneyLine(currency=line.currency))
        for name in MoneyLine.__struct_fields__[1:]:
            setattr(into, name, getattr(into, name) + getattr(line, name))
    return [total[currency] for currency in sorted(total)]


def check_books(findings: Findings, shard: int, lines: list[MoneyLine]) -> None:
    """Reports each currency whose books don't balance in this shard."""
    for line in lines:
        findings.checked("money")
        if line.balances != line.expected:
            findings.report(
                "money",
                f"the balances are {format_amount(line.balances, line.currency)}, and what came in "
                f"less what went is {format_amount(line.expected, line.currency)}",
                shard=shard,
            )
