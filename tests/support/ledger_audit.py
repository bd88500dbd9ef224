"""Looks from outside at what came of a load: the topics and the tables against a naive ledger.

It shares no rule with the engine: it reads the commands in the order of their partitions, asks
the oracle what each has to come to, and compares.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiokafka import ConsumerRecord

from engine.merkle import Frontier
from engine.settings import Settings
from engine.topology import home
from engine.wallet import LOTS_MAX
from schemas.commands import CreateWallet, InvalidCommandError, decode_command
from schemas.digests import command_id
from schemas.entries import Entry, decode_entry
from schemas.events import CommandRejected, Expired
from tests import merkle_oracle
from tests.support.load import Sent
from tests.support.topics import read_topic
from tests.wallet_oracle import Oracle

FORWARDED_HEADER = "wallet-forwarded-from"
_ACCEPTED = {
    "create_wallet": "wallet_created",
    "debit": "debited",
    "credit": "credited",
    "topup": "topped_up",
    "freeze": "frozen",
    "unfreeze": "unfrozen",
    "close": "closed",
}


async def audit(
    settings: Settings,
    journal: Sequence[Sent],
    partitions: int,
    others: re.Pattern[bytes] | None = None,
) -> Counter[str]:
    """Fail at the first thing that is wrong; otherwise count what came of the commands.

    Whoever else sent commands has keys that match `others`.
    """
    commands = await read_topic(settings, settings.commands_topic, partitions)
    events = await read_topic(settings, settings.events_topic, partitions)
    letters = await read_topic(settings, settings.dead_letters_topic, partitions)
    _check_journal(commands, journal, others)
    _check_order_of_forwards(commands)
    connection = await asyncpg.connect(settings.database_url)
    outcomes: Counter[str] = Counter()
    try:
        for shard in range(partitions):
            found = await _Shard.read(connection, shard)
            found.check_log()
            found.check_events(events[shard])
            found.check_dead_letters(letters[shard])
            await found.check_forwards(commands, partitions)
            outcomes += found.check_decisions(commands[shard], partitions)
    finally:
        await connection.close()
    return outcomes


def _check_journal(
    commands: dict[int, list[ConsumerRecord]],
    journal: Sequence[Sent],
    others: re.Pattern[bytes] | None,
) -> None:
    on_topic = {
        (record.partition, record.offset): record.value
        for records in commands.values()
        for record in records
        if not _was_forwarded(record) and not _is_anothers(record, others)
    }
    acknowledged = {(sent.partition, sent.offset): sent.payload for sent in journal}
    assert len(acknowledged) == len(journal)
    assert on_topic == acknowledged


def _is_anothers(record: ConsumerRecord, others: re.Pattern[bytes] | None) -> bool:
    return others is not None and others.fullmatch(record.key) is not None


def _check_order_of_forwards(commands: dict[int, list[ConsumerRecord]]) -> None:
    """What is forwarded, perhaps more than once, first comes to its home in the order sent."""
    for records in commands.values():
        arrived: dict[str, list[int]] = defaultdict(list)
        for record in records:
            if _was_forwarded(record):
                origin, _, offset = dict(record.headers)[FORWARDED_HEADER].decode().partition(":")
                if int(offset) not in arrived[origin]:
                    arrived[origin].append(int(offset))
        assert all(offsets == sorted(offsets) for offsets in arrived.values())


def _was_forwarded(record: ConsumerRecord) -> bool:
    return any(name == FORWARDED_HEADER for name, _ in record.headers)


class _Shard:
    def __init__(
        self,
        row: asyncpg.Record,
        log: list[asyncpg.Record],
        dead_letters: list[asyncpg.Record],
        forwards: list[asyncpg.Record],
    ) -> None:
        self.row = row
        self.shard: int = row["shard"]
        self.log = log
        self.entries = [decode_entry(line["data"]) for line in log]
        self.dead_letters = {letter["offset"]: letter for letter in dead_letters}
        self.forwards = {forward["offset"]: forward for forward in forwards}

    @classmethod
    async def read(cls, connection: asyncpg.Connection, shard: int) -> "_Shard":
        row = await connection.fetchrow("SELECT * FROM shards WHERE shard = $1", shard)
        assert row is not None
        log = "SELECT * FROM log WHERE shard = $1 ORDER BY position"
        letters = "SELECT * FROM dead_letters WHERE shard = $1"
        forwards = "SELECT * FROM forwards WHERE shard = $1"
        return cls(row, *[await connection.fetch(q, shard) for q in (log, letters, forwards)])

    def check_log(self) -> None:
        """No hole, nothing twice, and the tree's root is the one of these bytes."""
        assert [line["position"] for line in self.log] == list(range(self.row["position"]))
        assert self.row["published"] == self.row["position"]
        ids = Counter(entry.command_id for entry in self.entries)
        assert not [identity for identity, times in ids.items() if times > 1]
        versions: dict[str, list[int]] = defaultdict(list)
        for entry in self.entries:
            if entry.version is not None:
                versions[entry.wallet_id].append(entry.version)
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
        oracle = merkle_oracle.Oracle([line["data"] for line in self.log])
        frontier = Frontier.from_bytes(self.row["position"], self.row["tree"])
        assert frontier.root() == oracle.root(0, len(self.log))

    def check_events(self, records: list[ConsumerRecord]) -> None:
        """A consumer that takes exactly the next position ends with the log."""
        taken: list[bytes] = []
        for record in records:
            position = json.loads(record.value)["position"]
            if position == len(taken):
                taken.append(record.value)
            elif position < len(taken):
                assert record.value == taken[position], f"two entries {self.shard}:{position}"
        assert taken == [line["data"] for line in self.log]

    def check_dead_letters(self, records: list[ConsumerRecord]) -> None:
        published = {json.loads(record.value)["offset"] for record in records}
        assert published == set(self.dead_letters)

    async def check_forwards(
        self, commands: dict[int, list[ConsumerRecord]], partitions: int
    ) -> None:
        for offset, forward in self.forwards.items():
            stray = next(r for r in commands[self.shard] if r.offset == offset)
            arrived = next(
                r for r in commands[forward["home"]] if r.offset == forward["home_offset"]
            )
            assert arrived.value == stray.value
            assert _was_forwarded(arrived)

    def check_decisions(self, records: list[ConsumerRecord], partitions: int) -> Counter[str]:
        """One outcome for each command, the one that a plain reading of the rules gives."""
        end = records[-1].offset + 1 if records else 0
        assert self.row["next_offset"] == end
        by_offset: dict[int, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.offset is None:
                assert isinstance(entry.event, Expired)
            else:
                by_offset[entry.offset].append(entry)
        offsets = [entry.offset for entry in self.entries if entry.offset is not None]
        assert offsets == sorted(offsets)
        ledger = _Ledger(self.shard, partitions)
        outcomes: Counter[str] = Counter()
        for record in records:
            entries = by_offset.pop(record.offset, [])
            expected = ledger.take(record, entries)
            outcomes[expected] += 1
            found = self._outcome(record.offset, entries)
            place = f"{self.shard}:{record.offset}"
            if expected == "repeat":
                assert found is None, f"{place} is a repeat and has {found}"
            else:
                assert found == expected, f"{place} has to be {expected} and is {found}"
        assert not by_offset
        ledger.check_balances(self.entries)
        return outcomes

    def _outcome(self, offset: int, entries: list[Entry]) -> str | None:
        found = []
        if offset in self.dead_letters:
            found.append("dead_letter")
        if offset in self.forwards:
            found.append("forwarded")
        if entries:
            assert [entry.last for entry in entries] == [False] * (len(entries) - 1) + [True]
            event: Any = entries[-1].event
            is_refusal = isinstance(event, CommandRejected)
            found.append(event.code if is_refusal else event.__struct_config__.tag)
        assert len(found) <= 1, f"{self.shard}:{offset} has {found}"
        return found[0] if found else None


class _Ledger:
    """What each command of one partition has to come to, given when it was decided."""

    def __init__(self, shard: int, partitions: int) -> None:
        self._shard = shard
        self._partitions = partitions
        self._wallets: dict[str, Oracle] = {}
        self._bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self._conflicts: list[dict[str, Any]] = []

    def take(self, record: ConsumerRecord, entries: list[Entry]) -> str:
        try:
            command = decode_command(record.value)
        except InvalidCommandError:
            return "dead_letter"
        wallet_id = command.wallet_id
        if home(wallet_id, self._partitions) != self._shard:
            return "forwarded"
        body = json.loads(record.value)
        key = wallet_id, command.reference
        before = self._bodies.setdefault(key, body)
        if before is not body:
            if body in (before, *self._conflicts):
                return "repeat"
            self._conflicts.append(body)
            return "reference_conflict"
        assert entries, f"{self._shard}:{record.offset} has no outcome"
        assert entries[-1].command_id == command_id(*key).hex()
        wallet = self._wallets.get(wallet_id)
        if wallet is None:
            if not isinstance(command, CreateWallet):
                return "wallet_not_found"
            owner = (command.merchant_id, command.environment)
            self._wallets[wallet_id] = Oracle(owner, command.currency, 0, LOTS_MAX)
            return "wallet_created"
        at = entries[-1].occurred_at
        code = wallet.ask(command, at)
        if code is None:
            balance = getattr(entries[-1].event, "balance_after", None)
            assert balance in (None, wallet.balance(at))
        return code or _ACCEPTED[body["type"]]

    def check_balances(self, entries: list[Entry]) -> None:
        """Each balance goes on from the one before it, and the last is what the wallet holds."""
        balances: dict[str, int] = defaultdict(int)
        for entry in entries:
            before = getattr(entry.event, "balance_before", None)
            if before is not None:
                assert before == balances[entry.wallet_id], entry
                balances[entry.wallet_id] = entry.event.balance_after  # type: ignore[union-attr]
        now = datetime.now(UTC)
        assert {name: wallet.balance(now) for name, wallet in self._wallets.items()} == {
            name: balances[name] for name in self._wallets
        }
