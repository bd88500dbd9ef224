"""What each record of a partition has to come to, written as plainly as possible.

It shares no rule with the engine. Times are microseconds since 1970, entries are dicts as in the
JSON of the log, without what only people read.
"""

import json
from collections.abc import Container
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol

from aiokafka.partitioner import murmur2

from tests.simulation.plain_wallet import PlainWallet, created, do, expire, objection
from tests.simulation.reading import Undecodable, read_command

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class SentRecord(Protocol):
    """What the oracle looks at in a record."""

    offset: int
    value: bytes | None
    headers: Any


class Expected(NamedTuple):
    """What becomes of one record."""

    fate: Literal["entries", "repeat", "forwarded", "dead_letter"]
    entries: tuple[dict[str, Any], ...] = ()
    home: int | None = None
    reasons: tuple[str, ...] = ()


class Asked(NamedTuple):
    """A command: its fields, one spelling for all that say the same, and that one's digest."""

    fields: dict[str, Any]
    body: str
    digest: bytes

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Asked":
        body = canonical(fields)
        return cls(fields, body, _digest(b"wallet.body", body.encode()))

    @property
    def wallet_id(self) -> str:
        return str(self.fields["wallet_id"])

    @property
    def identity(self) -> bytes:
        """The id of its outcome."""
        return command_id(self.wallet_id, self.fields["reference"])


class ShardOracle:
    """The wallets of one shard, as its partition's records make them one after another."""

    def __init__(
        self, shard: int, partitions: int, lots_max: int, unstorable: Container[str] = ()
    ) -> None:
        self.shard = shard
        self._unstorable = unstorable
        self.wallets: dict[str, PlainWallet] = {}
        self._partitions = partitions
        self._lots_max = lots_max
        self._bodies: dict[tuple[str, str], str] = {}
        self._refused: set[tuple[str, str, str]] = set()

    def record(self, record: SentRecord, now: int | None) -> Expected:
        """What the next record comes to, if it is decided at `now`.

        `now` is None where nothing in the log says when; that is for what leaves no entry.
        """
        try:
            command = Asked.of(read_command(record.value))
        except Undecodable as undecodable:
            return Expected("dead_letter", reasons=undecodable.reasons)
        at_home = _home(command.wallet_id, self._partitions)
        if at_home != self.shard:
            if any(name == "wallet-forwarded-from" for name, _ in record.headers):
                return Expected("dead_letter", reasons=("misrouted",))
            return Expected("forwarded", home=at_home)
        if command.fields["reference"] in self._unstorable:
            return Expected("dead_letter", reasons=("refused_by_database",))
        return self._command(command, record.offset, now)

    def timer(self, wallet_id: str, now: int) -> list[dict[str, Any]]:
        """The entries that a timer has to write for a wallet at `now`."""
        wallet = self.wallets[wallet_id]
        return [
            self._entry(wallet_id, wallet, expiry_id(wallet_id, event["lot"]), None, event)
            | {"version": version, "offset": None, "last": True}
            for version, event in expire(wallet, now)
        ]

    def due(self, now: int) -> list[str]:
        """The wallets that hold money that is worth nothing at `now`."""
        return [
            wallet_id
            for wallet_id, wallet in self.wallets.items()
            if any(lot.expires_at <= now for lot in wallet.filled_lots())
        ]

    def _command(self, command: Asked, offset: int, now: int | None) -> Expected:
        wallet_id, reference = command.wallet_id, command.fields["reference"]
        wallet = self.wallets.get(wallet_id)
        taken_by = self._bodies.get((wallet_id, reference))
        foreign = wallet is not None and wallet.is_foreign(command.fields)
        if not foreign and taken_by == command.body:
            return Expected("repeat")
        if foreign or taken_by is not None:
            if (wallet_id, reference, command.body) in self._refused:
                return Expected("repeat")
            self._refused.add((wallet_id, reference, command.body))
            return self._refused_without_reference(command, offset, foreign=foreign)
        self._bodies[wallet_id, reference] = command.body
        if now is None:
            return Expected("entries")
        return self._decided(command, offset, now)

    def _refused_without_reference(
        self, command: Asked, offset: int, *, foreign: bool
    ) -> Expected:
        wallet = self.wallets.get(command.wallet_id)
        if not foreign:
            code = "reference_conflict"
        elif command.fields["type"] == "create_wallet":
            code = "wallet_exists"
        else:
            code = "wallet_not_found"
        identity = conflict_id(command.identity, command.digest)
        event = _rejection(code, wallet, command.fields)
        owner = None if foreign else wallet
        entry = self._entry(command.wallet_id, owner, identity, command.digest, event)
        return Expected("entries", (entry | {"version": None, "offset": offset, "last": True},))

    def _decided(self, command: Asked, offset: int, now: int) -> Expected:
        wallet_id = command.wallet_id
        wallet = self.wallets.get(wallet_id)
        entries = []
        if wallet is not None:
            entries = [
                self._entry(wallet_id, wallet, expiry_id(wallet_id, event["lot"]), None, event)
                | {"version": version}
                for version, event in expire(wallet, now)
            ]
        code = objection(wallet, command.fields, now, self._lots_max)
        if code is None:
            entries += self._done(command)
        else:
            event = _rejection(code, wallet, command.fields)
            refusal = self._entry(wallet_id, wallet, command.identity, command.digest, event)
            entries.append(refusal | {"version": None})
        for entry in entries:
            entry |= {"offset": offset, "last": entry is entries[-1]}
        return Expected("entries", tuple(entries))

    def _done(self, command: Asked) -> list[dict[str, Any]]:
        wallet_id = command.wallet_id
        if command.fields["type"] == "create_wallet":
            wallet = self.wallets[wallet_id] = PlainWallet(command.fields)
            events = [created(command.fields)]
        else:
            wallet = self.wallets[wallet_id]
            events = do(wallet, command.fields, self._lots_max)
        first_version = wallet.entries + 1
        wallet.entries += len(events)
        outcome = command.identity
        return [
            self._entry(
                wallet_id,
                wallet,
                outcome if event is events[-1] else further_id(outcome, ordinal),
                command.digest,
                event,
            )
            | {"version": first_version + ordinal}
            for ordinal, event in enumerate(events)
        ]

    def _entry(
        self,
        wallet_id: str,
        owner: PlainWallet | None,
        identity: bytes,
        body: bytes | None,
        event: dict[str, Any],
    ) -> dict[str, Any]:
        return {
            "shard": self.shard,
            "wallet_id": wallet_id,
            "merchant_id": None if owner is None else owner.merchant_id,
            "environment": None if owner is None else owner.environment,
            "command_id": identity.hex(),
            "body_digest": None if body is None else body.hex(),
            "event": event,
        }


@cache
def _home(wallet_id: str, partitions: int) -> int:
    return int(murmur2(wallet_id.encode()) & 0x7FFFFFFF) % partitions


def _rejection(code: str, wallet: PlainWallet | None, command: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "command_rejected",
        "code": code,
        "wallet_version": 0 if wallet is None else wallet.entries,
        "command": command,
    }


def canonical(command: dict[str, Any]) -> str:
    """One spelling for all that say the same: sorted, without blanks, times in microseconds."""
    return _CANONICAL.encode(command)


def _digest(tag: bytes, *parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=16, person=tag).digest()


def _named(wallet_id: str, name: str) -> bytes:
    return f"{len(wallet_id)}:{wallet_id}{name}".encode()


def command_id(wallet_id: str, reference: str) -> bytes:
    return _digest(b"wallet.command", _named(wallet_id, reference))


def conflict_id(outcome: bytes, body: bytes) -> bytes:
    return _digest(b"wallet.conflict", outcome, body)


def further_id(outcome: bytes, ordinal: int) -> bytes:
    return _digest(b"wallet.further", outcome, str(ordinal).encode())


def expiry_id(wallet_id: str, lot: int) -> bytes:
    return _digest(b"wallet.expiry", _named(wallet_id, f"{lot}:0"))
