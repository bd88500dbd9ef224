"""One shard, from its first entry to where it stood at the start: every check in one pass."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct

from engine.replay import read_shard
from projections.verification.columns import ColumnCheck
from projections.verification.command_groups import CommandGroups
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard
from projections.verification.history import HistoryCheck, Original
from projections.verification.models import ModelsCheck
from projections.verification.money import Ledger, MoneyLine, check_books
from projections.verification.positions import PositionCheck
from projections.verification.queries import QUERIES
from projections.verification.set_aside import SetAsideCheck
from projections.verification.timers import check_timers
from projections.verification.tree import TreeCheck
from schemas.digests import command_id
from schemas.entries import Entry
from schemas.events import CommandRejected

PAGE_ENTRIES: Final = 2_048

# carried out for every shard, also where there is nothing to look at
_ALWAYS: Final = (
    *("positions", "columns", "digests", "commands", "replay", "rejections", "snapshots"),
    *("timers", "money"),
)


class ShardProof(Struct, frozen=True, kw_only=True):
    """How far a shard was verified. `root` is the Merkle root over `entries` entries.

    `last_record` is the digest of the record before `next_offset`. Both are hex.
    """

    shard: int
    entries: int
    next_offset: int
    last_record: str | None
    published: int
    root: str


class _Outcome(Struct):
    body_digest: str | None


_outcomes = msgspec.json.Decoder(_Outcome)


class ShardVerification:
    """Verifies the log of one frozen shard, and its read models as frozen with it."""

    def __init__(
        self, findings: Findings, frozen: FrozenShard, models: ModelsCheck, instant: datetime
    ) -> None:
        shard = frozen.shard
        self._findings = findings
        self._frozen = frozen
        self._positions = PositionCheck(findings, frozen)
        self._columns = ColumnCheck(findings, shard)
        self._tree = TreeCheck(findings, frozen)
        self._set_aside = SetAsideCheck(findings, frozen)
        self._groups = CommandGroups(findings, shard, frozen.next_offset)
        self._history = HistoryCheck(findings, shard, frozen.snapshots)
        self._ledger = Ledger(instant)
        self._models = models

    async def run(
        self, connection: Connection, on_page: Callable[[int], None]
    ) -> tuple[ShardProof, list[MoneyLine]]:
        """Reads the log once; `on_page` is told how many entries each page had."""
        frozen = self._frozen
        for check in _ALWAYS:
            self._findings.checked(check, 0)
        await self._set_aside.whole(connection)
        await self._tree.read_tiles(connection)
        async for rows in read_shard(connection, frozen.shard, 0, frozen.size, PAGE_ENTRIES):
            await self._page(connection, rows)
            on_page(len(rows))
        return await self._finish(connection)

    async def _page(self, connection: Connection, rows: list[Record]) -> None:
        self._positions.page(rows)
        await self._tree.page(connection, rows)
        entries = self._readable(rows)
        await self._set_aside.page(connection, entries)
        originals = await self._originals(connection, entries)
        for entry in entries:
            self._ledger.entry(entry, self._history.wallets)
            for group in self._groups.entry(entry):
                self._history.group(group, originals)
        await self._models.page(connection, entries)

    def _readable(self, rows: list[Record]) -> list[Entry]:
        entries = []
        for row in rows:
            entry = self._columns.entry(row)
            if entry is None:
                self._history.lose(row["wallet_id"])
            else:
                entries.append(entry)
        return entries

    async def _originals(
        self, connection: Connection, entries: Sequence[Entry]
    ) -> dict[bytes, Original]:
        """What took the references that these entries call taken."""
        taken = [
            command_id(entry.wallet_id, entry.event.command.reference)
            for entry in entries
            if isinstance(entry.event, CommandRejected)
            and entry.event.code == "reference_conflict"
        ]
        if not taken:
            return {}
        rows = await connection.fetch(QUERIES["entries_by_command"], self._frozen.shard, taken)
        return {row["command_id"]: _original(row) for row in rows}

    async def _finish(self, connection: Connection) -> tuple[ShardProof, list[MoneyLine]]:
        for group in self._groups.finish():
            self._history.group(group, {})
        frozen = self._frozen
        self._positions.finish()
        root = self._tree.finish()
        await check_timers(connection, self._findings, frozen, self._history.followed())
        books = self._ledger.close(self._history.wallets.values())
        check_books(self._findings, frozen.shard, books)
        self._models.finish()
        proof = ShardProof(
            shard=frozen.shard,
            entries=frozen.size,
            next_offset=frozen.next_offset,
            last_record=None if frozen.last_record is None else frozen.last_record.hex(),
            published=frozen.published,
            root=root.hex(),
        )
        return proof, books


def _original(row: Record) -> Original:
    try:
        digest = _outcomes.decode(row["data"]).body_digest
    except (msgspec.DecodeError, ValueError):
        digest = None
    return Original(row["position"], digest)
