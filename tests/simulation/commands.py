"""The commands of a plan: all kinds, repeats, conflicts, strays, and what is no command at all."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.topology import home

FORWARDED_HEADER: Final = "wallet-forwarded-from"
_OWNERS: Final = (
    ("mch_one", "live"),
    ("mch_one", "sandbox"),
    ("mch_two", "live"),
    ("mch_two", "sandbox"),
)
_CURRENCIES: Final = ("GHS", "USD", "JPY")
_METADATA: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"n": 1},
    {"b": 'ünï "q" \\', "a": None, "c": True},
)
_HUGE: Final = (2**63 - 1, 2**62)


class Planned(Struct, frozen=True, kw_only=True):
    """One record that is sent to the commands topic at `at_ms`."""

    at_ms: int
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class _Wallet:
    def __init__(self, number: int, source: Random) -> None:
        self.id = f"wal_{number}x{source.randrange(10_000)}"
        self.merchant_id, self.environment = source.choice(_OWNERS)
        self.currency = source.choice(_CURRENCIES)


def draw_commands(
    source: Random, *, count: int, partitions: int, start: datetime, sending_ms: int
) -> list[Planned]:
    """`count` commands between 0 and `sending_ms`, in order of time."""
    drawing = _Drawing(source, partitions, start, sending_ms)
    times = sorted(source.randrange(sending_ms) for _ in range(count))
    if source.random() < 0.5:
        # in bursts, so that batches are full
        step = source.choice((500, 2_000))
        times = [at_ms // step * step for at_ms in times]
    return [drawing.next(at_ms) for at_ms in times]


class _Drawing:
    def __init__(self, source: Random, partitions: int, start: datetime, sending_ms: int) -> None:
        self._source = source
        self._partitions = partitions
        self._start = start
        self._sending_ms = sending_ms
        self._wallets_made = 0
        self._wallets = [self._new_wallet() for _ in range(source.randint(3, 16))]
        self._opened: set[str] = set()
        self._sent: list[dict[str, Any]] = []
        self._references = 0
        self._closing = source.choice((0.0, 0.01, 0.05))
        self._freezing = source.choice((0.02, 0.08))
        self._odd = source.choice((0.0, 0.05, 0.15))
        self._again = source.choice((0.03, 0.15))
        self._lasting_ms = source.choice((1_500, 6_000, 20_000))

    def next(self, at_ms: int) -> Planned:
        draw = self._source.random()
        if draw < self._odd:
            return self._source.choice((self._undecodable, self._stray, self._stray_for_ever))(
                at_ms
            )
        if draw < self._odd + self._again and self._sent:
            return self._again_or_conflict(at_ms)
        return self._at_home(at_ms, self._remember(self._body(at_ms)))

    def _remember(self, body: dict[str, Any]) -> dict[str, Any]:
        self._sent.append(body)
        if body["type"] == "create_wallet":
            self._opened.add(body["wallet_id"])
        elif body["type"] == "close" and self._source.random() < 0.8:
            # or soon there would be none to do anything with
            self._wallets = [
                self._new_wallet() if wallet.id == body["wallet_id"] else wallet
                for wallet in self._wallets
            ]
        return body

    def _new_wallet(self) -> _Wallet:
        self._wallets_made += 1
        return _Wallet(self._wallets_made, self._source)

    def _at_home(self, at_ms: int, body: dict[str, Any]) -> Planned:
        return _planned(at_ms, home(body["wallet_id"], self._partitions), body)

    def _stray(self, at_ms: int) -> Planned:
        body = self._remember(self._body(at_ms))
        return _planned(at_ms, self._elsewhere(body), body)

    def _stray_for_ever(self, at_ms: int) -> Planned:
        body = self._body(at_ms)
        return _planned(at_ms, self._elsewhere(body), body, headers=((FORWARDED_HEADER, b"0:0"),))

    def _elsewhere(self, body: dict[str, Any]) -> int:
        away = self._source.randrange(1, self._partitions)
        return (home(body["wallet_id"], self._partitions) + away) % self._partitions

    def _undecodable(self, at_ms: int) -> Planned:
        body = self._body(at_ms)
        value = self._source.choice(_SPOILED)(body)
        return Planned(
            at_ms=at_ms,
            partition=self._source.randrange(self._partitions),
            key=self._source.choice((None, body["wallet_id"].encode())),
            value=value,
        )

    def _again_or_conflict(self, at_ms: int) -> Planned:
        body = dict(self._source.choice(self._sent[-40:]))
        if self._source.random() < 0.4:
            reference = body["reference"]
            body = self._source.choice((self._body, self._otherwise(body)))(at_ms) | {
                "wallet_id": body["wallet_id"],
                "reference": reference,
            }
            self._remember(body)
        planned = self._at_home(at_ms, body)
        # the same command, spelt otherwise
        if self._source.random() < 0.3 and planned.value is not None:
            shuffled = json.dumps(dict(reversed(body.items())), indent=1).encode()
            planned = Planned(
                at_ms=at_ms, partition=planned.partition, key=planned.key, value=shuffled
            )
        return planned

    @staticmethod
    def _otherwise(body: dict[str, Any]) -> Callable[[int], dict[str, Any]]:
        return lambda _: (
            body
            | (
                {"amount": body["amount"] % 1_000 + 1}
                if "amount" in body
                else {"merchant_id": "mch_two"}
            )
        )

    def _body(self, at_ms: int) -> dict[str, Any]:
        source = self._source
        # the first one is hot
        wallet = self._wallets[int(len(self._wallets) * source.random() ** 2)]
        self._references += 1
        named = {"wallet_id": wallet.id, "reference": f"r{self._references}"}
        if wallet.id not in self._opened and source.random() < 0.9:
            return self._opening(wallet, named)
        body = self._kind(wallet, named, at_ms)
        if body["type"] != "create_wallet" and source.random() < 0.2:
            body |= self._owner(wallet)
        return body

    def _opening(self, wallet: _Wallet, named: dict[str, str]) -> dict[str, Any]:
        return {
            "type": "create_wallet",
            **named,
            "merchant_id": wallet.merchant_id,
            "environment": wallet.environment,
            "customer_id": "cus_1",
            "currency": wallet.currency,
            "metadata": self._source.choice(_METADATA),
        }

    def _owner(self, wallet: _Wallet) -> dict[str, str]:
        if self._source.random() < 0.2:
            merchant_id, environment = self._source.choice(_OWNERS)
            return {"merchant_id": merchant_id, "environment": environment}
        return {"merchant_id": wallet.merchant_id}

    def _kind(self, wallet: _Wallet, named: dict[str, str], at_ms: int) -> dict[str, Any]:
        source = self._source
        draw = source.random()
        if draw < self._closing:
            return {"type": "close", **named}
        if draw < self._closing + self._freezing:
            return {"type": source.choice(("freeze", "unfreeze", "unfreeze", "unfreeze")), **named}
        if draw > 0.99:
            return self._opening(wallet, named)
        kind = source.choice(("topup", "credit", "credit", "credit", "debit", "debit", "debit"))
        body: dict[str, Any] = {"type": kind, **named, "amount": self._amount()}
        if kind == "credit":
            body |= self._terms(at_ms)
        if source.random() < 0.1:
            body["currency"] = source.choice((wallet.currency, wallet.currency, "EUR"))
        if source.random() < 0.2:
            body["description"] = f"a {kind} — “{at_ms}”"
        if source.random() < 0.2:
            body["metadata"] = source.choice(_METADATA)
        return body

    def _amount(self) -> int:
        if self._source.random() < 0.01:
            return self._source.choice(_HUGE)
        return self._source.randint(1, 300)

    def _terms(self, at_ms: int) -> dict[str, Any]:
        source = self._source
        terms: dict[str, Any] = {}
        if source.random() < 0.6:
            # some have run out already, when they are decided late most have
            lasting_ms = source.randint(-500, self._lasting_ms)
            moment = self._start + timedelta(milliseconds=at_ms + lasting_ms)
            terms["expires_at"] = source.choice((_utc, _east))(moment)
        if source.random() < 0.5:
            terms["priority"] = source.choice((0, 1, 100, 1_000))
        return terms


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _east(moment: datetime) -> str:
    shifted = moment + timedelta(hours=5, minutes=30)
    return shifted.isoformat().replace("+00:00", "+05:30")


def _planned(
    at_ms: int,
    partition: int,
    body: dict[str, Any],
    headers: tuple[tuple[str, bytes], ...] = (),
) -> Planned:
    return Planned(
        at_ms=at_ms,
        partition=partition,
        key=body["wallet_id"].encode(),
        value=msgspec.json.encode(body),
        headers=headers,
    )


def _spoil(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda body: json.dumps(body | changes).encode()


_SPOILED: Final[tuple[Callable[[dict[str, Any]], bytes | None], ...]] = (
    lambda _: None,
    lambda _: b"",
    lambda _: b"not json",
    lambda _: b"\xff\xfe{}",
    lambda body: json.dumps(body).encode()[:-1],
    lambda body: json.dumps([body]).encode(),
    lambda _: b"[" * 10_000,
    lambda _: b'{"type":"debit"}',
    _spoil(type="spend"),
    _spoil(reference=""),
    _spoil(reference="nul \0 in it"),
    _spoil(reference="r" * 256),
    _spoil(wallet_id="wallet"),
    _spoil(type="debit", amount=0),
    _spoil(type="topup", amount="5"),
    _spoil(type="topup", amount=2**63),
    _spoil(type="credit", amount=5, priority=1001),
    _spoil(type="credit", amount=5, expires_at="2026-01-01T00:00:00"),
    _spoil(surprise=1),
)
