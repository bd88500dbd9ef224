"""The rules of a wallet once more, written as naively as they can be told.

No versions, no events, no expiry entries: grants of money lie in a list, and whoever asks what a
wallet is worth at a moment looks through all of them.
"""

from dataclasses import dataclass, field
from datetime import datetime

from schemas.commands import Close, CreateWallet, Credit, Debit, Freeze, TopUp, Unfreeze
from schemas.money import AMOUNT_MAX


@dataclass
class Grant:
    left: int
    priority: int
    expires_at: datetime | None

    def alive(self, at):
        return self.left > 0 and (self.expires_at is None or at < self.expires_at)

    def like_a_top_up(self):
        return self.priority == 100 and self.expires_at is None


@dataclass
class Oracle:
    owner: tuple[str, str]
    currency: str
    credit_limit: int
    lots_max: int
    status: str = "active"
    debt: int = 0
    grants: list[Grant] = field(default_factory=list)
    came_in: int = 0
    went_out: int = 0
    written_off: int = 0

    def alive(self, at):
        return [grant for grant in self.grants if grant.alive(at)]

    def balance(self, at):
        return sum(grant.left for grant in self.alive(at)) - self.debt

    def ask(self, command, at):
        """The code that the command is refused with, or None after doing it."""
        for code, holds in self._objections(command, at):
            if holds():
                return code
        self._do(command, at)
        return None

    def _objections(self, command, at):
        kind = type(command)
        amount = getattr(command, "amount", 0)
        currency = getattr(command, "currency", None)
        merchant, environment = self.owner
        yield "wallet_exists", lambda: kind is CreateWallet
        yield "wallet_not_found", lambda: command.merchant_id not in {None, merchant}
        yield "wallet_not_found", lambda: command.environment not in {None, environment}
        yield "wallet_closed", lambda: self.status == "closed"
        yield "already_frozen", lambda: kind is Freeze and self.status == "frozen"
        yield "not_frozen", lambda: kind is Unfreeze and self.status == "active"
        yield "wallet_frozen", lambda: kind is Debit and self.status == "frozen"
        yield "currency_mismatch", lambda: currency not in {None, self.currency}
        if kind is Credit and command.expires_at is not None:
            yield "expiry_in_past", lambda: not at < command.expires_at
        if kind in {Credit, TopUp}:
            yield "balance_overflow", lambda: self.balance(at) + amount > AMOUNT_MAX
        if kind is Credit:
            yield "too_many_lots", lambda: len(self.alive(at)) >= self.lots_max
        if kind is Debit:
            yield "insufficient_funds", lambda: self.balance(at) - amount < -self.credit_limit

    def _do(self, command, at):
        match command:
            case Debit():
                self._pay(command.amount, at)
            case Credit():
                self._receive(command.amount, Grant(0, command.priority, command.expires_at), at)
            case TopUp():
                self._receive(command.amount, Grant(0, 100, None), at)
            case Freeze():
                self.status = "frozen"
            case Unfreeze():
                self.status = "active"
            case Close():
                self.written_off += self.balance(at)
                self.status, self.debt, self.grants = "closed", 0, []

    def _pay(self, amount, at):
        self.went_out += amount
        forever = [grant for grant in self.alive(at) if grant.expires_at is None]
        mortal = [grant for grant in self.alive(at) if grant.expires_at is not None]
        mortal.sort(key=lambda grant: grant.expires_at)
        # both sorts are stable, so age decides last
        for grant in sorted([*mortal, *forever], key=lambda grant: grant.priority):
            paid = min(grant.left, amount)
            grant.left -= paid
            amount -= paid
        self.debt += amount

    def _receive(self, amount, grant, at):
        self.came_in += amount
        settled = min(self.debt, amount)
        self.debt -= settled
        alike = [old for old in self.alive(at) if old.like_a_top_up()]
        if len(self.alive(at)) >= self.lots_max and alike:
            alike[-1].left += amount - settled
        else:
            grant.left = amount - settled
            self.grants.append(grant)
