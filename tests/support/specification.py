"""Given events, when a command, then events or a refusal: how the rules of a wallet are tested.

    given(opened(), topped_up(500, lot=2)).when(debit(200)).then(
        debited(200, before=500, lots={2: 200})
    )
    given(opened()).when(debit(1)).refused("insufficient_funds")

Commands and events are built for one wallet in GHS. `NOW` is when commands are decided, unless
`when` is told otherwise, and `after` gives a moment relative to it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

from engine.decider import decide, evolve
from engine.wallet import Wallet
from schemas.commands import (
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
from schemas.instants import Instant
from schemas.rejections import Rejection

WALLET = "wal_1"
REFERENCE = "ref-1"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(microseconds: int = 0, **spans: float) -> datetime:
    """The moment that lies so long after NOW; spans are those of timedelta."""
    return NOW + timedelta(microseconds=microseconds, **spans)


def given(*events: WalletEvent) -> "Given":
    return Given(events)


class Given:
    """What has happened. `wallet` is the state it folds into."""

    def __init__(self, events: tuple[WalletEvent, ...]) -> None:
        self.wallet: Wallet | None = None
        for event in events:
            self.wallet = evolve(self.wallet, event)

    def when(self, command: AnyCommand, at: datetime = NOW) -> "When":
        return When(self.wallet, command, at)


class When:
    """What a command led to. `wallet` is the state afterwards."""

    def __init__(self, wallet: Wallet | None, command: AnyCommand, at: datetime) -> None:
        self.wallet = wallet
        self.decision = decide(wallet, command, at)
        if not isinstance(self.decision, Rejection):
            for event in self.decision:
                self.wallet = evolve(self.wallet, event)

    def then(self, *events: WalletEvent) -> Self:
        assert self.decision == events
        return self

    def refused(self, code: str, *mentions: str) -> Self:
        assert isinstance(self.decision, Rejection), self.decision
        assert self.decision.code == code
        assert not [text for text in mentions if text not in self.decision.message]
        return self

    def leaves(self, lots: dict[int, int] | None = None, **fields: Any) -> Self:
        """The state then has these fields, and these lots: what is left in each, in burn order."""
        assert self.wallet is not None
        assert {name: getattr(self.wallet, name) for name in fields} == fields
        if lots is not None:
            assert [(lot.id, lot.remaining) for lot in self.wallet.lots] == list(lots.items())
        return self


def create_wallet(**fields: Any) -> CreateWallet:
    owner = {
        "merchant_id": "mch_1",
        "environment": "live",
        "customer_id": "cus_1",
        "currency": "GHS",
    }
    return CreateWallet(**_named(owner | fields))


def debit(amount: int, **fields: Any) -> Debit:
    return Debit(amount=amount, **_named(fields))


def credit(amount: int, expires_at: datetime | None = None, **fields: Any) -> Credit:
    instant = None if expires_at is None else Instant.of(expires_at)
    return Credit(amount=amount, expires_at=instant, **_named(fields))


def topup(amount: int, **fields: Any) -> TopUp:
    return TopUp(amount=amount, **_named(fields))


def freeze(**fields: Any) -> Freeze:
    return Freeze(**_named(fields))


def unfreeze(**fields: Any) -> Unfreeze:
    return Unfreeze(**_named(fields))


def close(**fields: Any) -> Close:
    return Close(**_named(fields))


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    return {"wallet_id": WALLET, "reference": REFERENCE} | fields


def opened(**fields: Any) -> WalletCreated:
    owner: dict[str, Any] = {
        "merchant_id": "mch_1",
        "environment": "live",
        "customer_id": "cus_1",
        "currency": "GHS",
    }
    return WalletCreated(**_referenced(owner | fields))


def debited(amount: int, before: int, lots: dict[int, int], **fields: Any) -> Debited:
    return Debited(
        amount=amount, lots=_parts(lots), **_referenced(_change(before, -amount) | fields)
    )


def credited(amount: int, lot: int, before: int = 0, **fields: Any) -> Credited:
    return Credited(amount=amount, lot=lot, **_referenced(_change(before, amount) | fields))


def topped_up(amount: int, lot: int, before: int = 0, **fields: Any) -> ToppedUp:
    return ToppedUp(amount=amount, lot=lot, **_referenced(_change(before, amount) | fields))


def expired(amount: int, lot: int, before: int, expires_at: datetime) -> Expired:
    return Expired(amount=amount, lot=lot, expires_at=expires_at, **_change(before, -amount))


def written_off(amount: int, lots: dict[int, int], **fields: Any) -> WrittenOff:
    return WrittenOff(
        amount=amount, lots=_parts(lots), **_referenced(_change(amount, -amount) | fields)
    )


def frozen() -> Frozen:
    return Frozen(reference=REFERENCE)


def unfrozen() -> Unfrozen:
    return Unfrozen(reference=REFERENCE)


def closed() -> Closed:
    return Closed(reference=REFERENCE)


def _referenced(fields: dict[str, Any]) -> dict[str, Any]:
    return {"reference": REFERENCE} | fields


def _change(before: int, amount: int) -> dict[str, Any]:
    return {"currency": "GHS", "balance_before": before, "balance_after": before + amount}


def _parts(lots: dict[int, int]) -> list[LotAmount]:
    return [LotAmount(lot, amount) for lot, amount in lots.items()]
