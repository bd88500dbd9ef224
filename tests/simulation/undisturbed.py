"""A plan's commands decided by the pure core of the engine, with nothing else around it.

No broker, no database, no faults: logs to hold the oracle and the checks against. It looks like
the simulated database and broker as far as the checks look at those.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest.mock import patch

from msgspec import Struct

from engine import decider
from engine.batch import Batch, Deciding, Tip
from engine.intake import FORWARDED_HEADER, Intake, Received, record_digest, take_in
from engine.log import DeadLetterRow, ForwardRow
from engine.merkle import Frontier, leaf_hashes
from engine.wallet import Wallet
from tests.simulation.database.rows import (
    ShardState,
    StoredDeadLetter,
    StoredForward,
    StoredRow,
)
from tests.simulation.database.tables import ShardTables
from tests.simulation.plan import START, Plan

_STEP_MS = 250
_BATCH_MAX = 12


class Sent(Struct):
    """A record of a topic."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def _refused(received: Received) -> DeadLetterRow:
    return DeadLetterRow(
        offset=received.offset,
        reason="refused_by_database",
        detail="",
        key=received.key,
        payload=received.payload,
    )


@contextmanager
def lots_bound(lots_max: int) -> Iterator[None]:
    """Let wallets hold so many lots at most."""
    with patch.object(decider, "LOTS_MAX", lots_max):
        yield


class Records(Struct):
    """A partition of a topic."""

    records: list[Sent] = []


class Undisturbed:
    """Runs a plan to its end; `on_batch` may look at, or spoil, each batch before it is stored."""

    def __init__(self, plan: Plan, on_batch: Callable[[Batch], None] = lambda _: None) -> None:
        self.plan = plan
        self.on_batch = on_batch
        self.now = START
        self.source = Random(plan.seed)
        self.shards = {shard: ShardState(shard=shard) for shard in range(plan.partitions)}
        self.tables = {shard: ShardTables() for shard in self.shards}
        self.topics: dict[str, list[Records]] = {
            name: [Records() for _ in self.shards]
            for name in ("wallet.commands", "wallet.events", "wallet.dead-letters")
        }
        self.commit_listeners: list[Callable[[int], None]] = []
        self.record_listeners: list[Callable[[str, int, Sent], None]] = []
        self._wallets: dict[int, dict[str, Wallet]] = {shard: {} for shard in self.shards}
        self._recorded: dict[int, dict[bytes, bytes]] = {shard: {} for shard in self.shards}

    def clock(self) -> datetime:
        """The time now."""
        return self.now

    def run(self) -> None:
        """Send every command at its time, and decide, now this shard and now that one."""
        with lots_bound(self.plan.lots_max):
            waiting = list(self.plan.commands)
            while waiting or self._undecided():
                elapsed_ms = (self.now - START) // timedelta(milliseconds=1)
                while waiting and waiting[0].at_ms <= elapsed_ms:
                    sent = waiting.pop(0)
                    headers = tuple(sent.headers)
                    self._send("wallet.commands", sent.partition, sent.key, sent.value, headers)
                for shard in self.source.sample(sorted(self.shards), len(self.shards)):
                    self._decide_some(shard)
                self.now += timedelta(milliseconds=self.source.randrange(2 * _STEP_MS))

    def _undecided(self) -> bool:
        topic = self.topics["wallet.commands"]
        return any(row.next_offset < len(topic[row.shard].records) for row in self.shards.values())

    def _send(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Any = ()
    ) -> int:
        records = self.topics[topic][partition].records
        record = Sent(len(records), 0, key, value, headers)
        records.append(record)
        for listener in self.record_listeners:
            listener(topic, partition, record)
        return record.offset

    def _decide_some(self, shard: int) -> None:
        if self.source.random() < 0.2:
            self._decide_due(shard)
        row = self.shards[shard]
        count = self.source.randint(0, _BATCH_MAX)
        topic = self.topics["wallet.commands"][shard]
        records = topic.records[row.next_offset :][:count]
        if not records:
            return
        intake = take_in(records, shard, self.plan.partitions)
        wallets: dict[str, Wallet | None] = {
            received.command.wallet_id: self._wallets[shard].get(received.command.wallet_id)
            for received in intake.commands
        }
        deciding = self._deciding(shard, wallets)
        for received in intake.commands:
            if received.command.reference in self.plan.refused:
                deciding.dead_letter(_refused(received))
            else:
                deciding.command(received)
        for letter in intake.dead_letters:
            deciding.dead_letter(letter)
        batch = deciding.finish(records[-1].offset + 1, record_digest(records[-1]))
        batch.append.forwards = self._forward(shard, intake)
        self._store(shard, batch)

    def _decide_due(self, shard: int) -> None:
        row = self.shards[shard]
        wallets: dict[str, Wallet | None] = {}
        removed = []
        for at, wallet_id in self.tables[shard].due:
            if at <= self.now:
                wallets[wallet_id] = self._wallets[shard][wallet_id]
                removed.append((at, wallet_id))
        deciding = self._deciding(shard, wallets)
        for wallet_id in list(wallets):
            deciding.wallet_due(wallet_id)
        batch = deciding.finish(row.next_offset, row.last_record)
        batch.append.due_removed = removed
        self._store(shard, batch)

    def _deciding(self, shard: int, wallets: dict[str, Wallet | None]) -> Deciding:
        row = self.shards[shard]
        frontier = Frontier.from_bytes(row.position, row.tree)
        tip = Tip(row.next_offset, row.last_record, row.position, frontier, row.last_at)
        return Deciding(
            shard,
            tip,
            self.now,
            states=wallets,
            recorded=self._recorded[shard],
            in_flight={},
            snapshot_every=5,
            failures_max=1,
        )

    def _forward(self, shard: int, intake: Intake) -> list[ForwardRow]:
        return [
            ForwardRow(
                offset=stray.offset,
                home=stray.home,
                home_offset=self._send(
                    "wallet.commands",
                    stray.home,
                    stray.wallet_id.encode(),
                    stray.payload,
                    ((FORWARDED_HEADER, b"%d:%d" % (shard, stray.offset)),),
                ),
            )
            for stray in intake.strays
        ]

    def _store(self, shard: int, batch: Batch) -> None:
        self.on_batch(batch)
        append, row = batch.append, self.shards[shard]
        # of what is stored, which `on_batch` may have changed
        tree = Frontier.from_bytes(row.position, row.tree)
        tree.extend(leaf_hashes(append.data))
        columns = zip(
            append.wallet_ids,
            append.versions,
            append.command_ids,
            append.types,
            append.data,
            strict=True,
        )
        tables = self.tables[shard]
        tables.add(
            StoredRow(shard, position, wallet_id, version, command_id, kind, append.now, data)
            for position, (wallet_id, version, command_id, kind, data) in enumerate(
                columns, append.from_position
            )
        )
        tables.dead_letters |= {
            letter.offset: StoredDeadLetter(
                shard=shard,
                offset=letter.offset,
                reason=letter.reason,
                detail=letter.detail,
                occurred_at=append.now,
                key=letter.key,
                payload=letter.payload,
            )
            for letter in append.dead_letters
        }
        tables.forwards |= {
            forward.offset: StoredForward(
                shard=shard,
                offset=forward.offset,
                home=forward.home,
                home_offset=forward.home_offset,
            )
            for forward in append.forwards
        }
        tables.change_due(append.due_added, append.due_removed)
        row.next_offset, row.position = append.to_offset, append.to_position
        row.last_record, row.tree = append.last_record, tree.to_bytes()
        row.last_at = append.now
        row.appended_lease = row.lease
        row.appended_at = self.clock()
        self._wallets[shard] |= batch.wallets
        self._recorded[shard] |= batch.outcomes
        for listener in self.commit_listeners:
            listener(shard)
