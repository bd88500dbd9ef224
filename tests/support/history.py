"""Histories for tests: what the engine would have appended, without an engine.

    history = HistoryBuilder(shard=0).create("wal_a").topup("wal_a", 500).wait(60).debit("wal_a", 20)
    await history.write(connection)

Every command goes through the real decider and every entry through the real encoding, so the
rows of `log` and `shards` are those that an engine would have left behind.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

import asyncpg
from msgspec.structs import replace

from engine.decider import decide, evolve, expire_due, is_foreign
from engine.merkle import Frontier, leaf_hashes
from engine.wallet import Wallet
from schemas import digests
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
from schemas.entries import Entry, encode_entry
from schemas.events import AnyEvent, CommandRejected, Expired, WalletCreated, WalletEvent
from schemas.instants import Instant
from schemas.rejections import Rejection

START = datetime(2026, 1, 1, tzinfo=UTC)

_INSERT = """
INSERT INTO log (shard, position, wallet_id, version, command_id, type, occurred_at, data)
SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bytea[], $6::text[],
                         $7::timestamptz[], $8::bytea[])
"""
_MOVE = """
INSERT INTO shards (shard, next_offset, position, tree, last_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (shard) DO UPDATE
   SET next_offset = excluded.next_offset, position = excluded.position,
       tree = excluded.tree, last_at = excluded.last_at
"""


class HistoryBuilder:
    """One shard's history. `entries` is all of it, `now` its clock; every step returns self.

    References are made up unless a step gets one; the same reference again is a repeat or a
    conflict, as in the engine.
    """

    def __init__(self, shard: int = 0, now: datetime = START) -> None:
        self.shard = shard
        self.now = now
        self.entries: list[Entry] = []
        self.wallets: dict[str, Wallet] = {}
        self.next_offset = 0
        self._bodies: dict[bytes, bytes | None] = {}
        self._tree = Frontier()
        self._references = 0

    def wait(self, seconds: float) -> Self:
        self.now += timedelta(seconds=seconds)
        return self

    def create(self, wallet_id: str, *, credit_limit: int = 0, **fields: Any) -> Self:
        """`credit_limit`: how far it may be overdrawn, which no command can ask for."""
        owner = {"merchant_id": "mch_1", "environment": "live", "customer_id": "cus_1"}
        fields = {**owner, "currency": "GHS", **fields}
        return self._send(CreateWallet, wallet_id, fields, credit_limit)

    def topup(self, wallet_id: str, amount: int, **fields: Any) -> Self:
        return self._send(TopUp, wallet_id, {"amount": amount, **fields})

    def credit(
        self, wallet_id: str, amount: int, *, lasts: float | None = None, **fields: Any
    ) -> Self:
        """`lasts`: seconds from now to `expires_at`."""
        if lasts is not None:
            fields["expires_at"] = Instant.of(self.now + timedelta(seconds=lasts))
        return self._send(Credit, wallet_id, {"amount": amount, **fields})

    def debit(self, wallet_id: str, amount: int, **fields: Any) -> Self:
        return self._send(Debit, wallet_id, {"amount": amount, **fields})

    def freeze(self, wallet_id: str, **fields: Any) -> Self:
        return self._send(Freeze, wallet_id, fields)

    def unfreeze(self, wallet_id: str, **fields: Any) -> Self:
        return self._send(Unfreeze, wallet_id, fields)

    def close(self, wallet_id: str, **fields: Any) -> Self:
        return self._send(Close, wallet_id, fields)

    def expire(self, wallet_id: str) -> Self:
        """What a timer does: append what is due, without a command."""
        if wallet_id in self.wallets:
            for event in expire_due(self.wallets[wallet_id], self.now):
                self._append_event(wallet_id, event, _expiry_id(wallet_id, event))
        return self

    def send(self, command: AnyCommand, *, credit_limit: int = 0) -> Self:
        """Decide one command as it comes from the topic; a repeat only moves the offset on."""
        offset = self.next_offset
        self.next_offset += 1
        identity = digests.command_id(command.wallet_id, command.reference)
        body = digests.body_digest(command)
        conflict = digests.conflict_id(identity, body)
        wallet = self.wallets.get(command.wallet_id)
        foreign = (
            wallet is not None
            and not isinstance(command, CreateWallet)
            and is_foreign(wallet, command)
        )
        if conflict in self._bodies or (not foreign and self._bodies.get(identity) == body):
            return self
        if not foreign and identity in self._bodies:
            decision: Any = Rejection("reference_conflict", "The reference is taken.")
        else:
            decision = decide(wallet, command, self.now)
        if isinstance(decision, Rejection):
            clash = foreign or decision.code == "reference_conflict"
            event = CommandRejected(
                code=decision.code,
                message=decision.message,
                wallet_version=wallet.version if wallet else 0,
                command=command,
            )
            self._append(command.wallet_id, event, conflict if clash else identity, body, offset)
            return self
        self._append_decision(command, _limited(decision, credit_limit), identity, body, offset)
        return self

    async def write(self, connection: asyncpg.Connection, count: int | None = None) -> None:
        """Append the next `count` entries (all there are) that are not in the log, and move on
        the shard's row with them, in one transaction."""
        start = self._tree.size
        stop = len(self.entries) if count is None else min(start + count, len(self.entries))
        batch = self.entries[start:stop]
        data = [encode_entry(entry) for entry in batch]
        self._tree.extend(leaf_hashes(data))
        async with connection.transaction():
            await connection.execute(
                _INSERT,
                self.shard,
                [entry.position for entry in batch],
                [entry.wallet_id for entry in batch],
                [entry.version for entry in batch],
                [bytes.fromhex(entry.command_id) for entry in batch],
                [_tag(entry.event) for entry in batch],
                [entry.occurred_at for entry in batch],
                data,
            )
            await connection.execute(
                _MOVE,
                self.shard,
                self._offset_after(stop),
                stop,
                self._tree.to_bytes(),
                max((entry.occurred_at for entry in self.entries[:stop]), default=START),
            )

    def _send(
        self,
        kind: type[AnyCommand],
        wallet_id: str,
        fields: dict[str, Any],
        credit_limit: int = 0,
    ) -> Self:
        self._references += 1
        command = kind(wallet_id=wallet_id, **{"reference": f"r{self._references}", **fields})
        return self.send(command, credit_limit=credit_limit)

    def _append_decision(
        self,
        command: AnyCommand,
        events: tuple[WalletEvent, ...],
        identity: bytes,
        body: bytes,
        offset: int,
    ) -> None:
        further = 0
        for event in events[:-1]:
            if isinstance(event, Expired):
                entry_id, digest = _expiry_id(command.wallet_id, event), None
            else:
                entry_id, digest = digests.further_id(identity, further), body
                further += 1
            self._append_event(command.wallet_id, event, entry_id, digest, offset, last=False)
        self._append_event(command.wallet_id, events[-1], identity, body, offset)

    def _append_event(
        self,
        wallet_id: str,
        event: WalletEvent,
        entry_id: bytes,
        body: bytes | None = None,
        offset: int | None = None,
        *,
        last: bool = True,
    ) -> None:
        self.wallets[wallet_id] = evolve(self.wallets.get(wallet_id), event)
        self._append(wallet_id, event, entry_id, body, offset, last=last)

    def _append(
        self,
        wallet_id: str,
        event: AnyEvent,
        entry_id: bytes,
        body: bytes | None,
        offset: int | None,
        *,
        last: bool = True,
    ) -> None:
        wallet = self.wallets.get(wallet_id)
        has_version = wallet is not None and not isinstance(event, CommandRejected)
        self._bodies[entry_id] = body
        self.entries.append(
            Entry(
                shard=self.shard,
                position=len(self.entries),
                wallet_id=wallet_id,
                version=wallet.version if wallet and has_version else None,
                merchant_id=wallet.merchant_id if wallet else None,
                environment=wallet.environment if wallet else None,
                command_id=entry_id.hex(),
                body_digest=None if body is None else body.hex(),
                offset=offset,
                last=last,
                occurred_at=self.now,
                event=event,
            )
        )

    def _offset_after(self, stop: int) -> int:
        if stop == len(self.entries):
            return self.next_offset
        return max((e.offset + 1 for e in self.entries[:stop] if e.offset is not None), default=0)


def _expiry_id(wallet_id: str, event: Expired) -> bytes:
    return digests.expiry_id(wallet_id, event.lot)


def _limited(events: tuple[WalletEvent, ...], credit_limit: int) -> tuple[WalletEvent, ...]:
    return tuple(
        replace(event, credit_limit=credit_limit) if isinstance(event, WalletCreated) else event
        for event in events
    )


def _tag(event: AnyEvent) -> str:
    return str(type(event).__struct_config__.tag)
