"""One shard, from its first entry to where it stood at the start: every check in one pass.

What the checks remember of wallets is in a spool, and how far they have come is noted there every
so often, so the pass needs the same memory at any size and can be taken up where it ended.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from asyncpg import Connection, Record
from msgspec import Struct

from engine.replay import read_shard
from engine.wallet import fingerprint
from projections.comparison import Source, live_sources
from projections.spool import Spool
from projections.verification.columns import ColumnCheck
from projections.verification.command_groups import CommandGroups, Grouping
from projections.verification.errors import VerificationError
from projections.verification.evolving import OnceEvolved
from projections.verification.findings import Findings, Tallies
from projections.verification.frozen import FrozenShard, FrozenTables, freeze
from projections.verification.history import HistoryCheck, Original
from projections.verification.kept_trees import check_kept_trees
from projections.verification.models import ModelsAt, ModelsCheck
from projections.verification.money import Books, Ledger, MoneyLine, check_books
from projections.verification.positions import PositionCheck
from projections.verification.queries import QUERIES
from projections.verification.set_aside import SetAsideCheck
from projections.verification.signed import SignedCheck, SignedShard
from projections.verification.timers import check_timers
from projections.verification.tree import Climb, TreeCheck
from schemas.digests import command_id
from schemas.entries import Entry
from schemas.events import CommandRejected

PAGE_ENTRIES: Final = 1_024
COMMIT_PAGES: Final = 16
"""How much is read again after an interruption, at most."""

_UNDER_WAY: Final = "under_way"

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


class ShardPass(Struct, kw_only=True):
    """A pass that is under way: the shard as it was frozen, and where each check stands."""

    frozen: FrozenShard
    models: ModelsAt
    begun: bool = False
    read: int = 0
    position: int = 0
    tree: Climb
    groups: Grouping
    last_at: datetime | None = None
    books: Books
    tallies: Tallies


_decode_pass = msgspec.msgpack.Decoder(ShardPass).decode


class _Outcome(Struct):
    body_digest: str | None


_outcomes = msgspec.json.Decoder(_Outcome)


class ShardVerification:
    """Verifies the log of one frozen shard, and its read models as frozen with it."""

    def __init__(
        self,
        spool: Spool,
        at: ShardPass,
        instant: datetime,
        signed: Sequence[SignedShard],
    ) -> None:
        shard = at.frozen.shard
        findings = Findings(at.tallies)
        self._spool = spool
        self._at = at
        self._findings = findings
        self._frozen = at.frozen
        self._tables = FrozenTables(spool)
        self._positions = PositionCheck(findings, at.frozen, at.position)
        self._columns = ColumnCheck(findings, shard)
        self._signed = SignedCheck(findings, shard, signed)
        self._tree = TreeCheck(findings, at.frozen, self._signed.sizes, at.tree)
        self._set_aside = SetAsideCheck(findings, at.frozen)
        self._groups = CommandGroups(findings, shard, at.frozen.next_offset, at.groups)
        self._evolved = OnceEvolved()
        self._history = HistoryCheck(findings, shard, spool, at.last_at, self._evolved)
        self._ledger = Ledger(instant, at.books)
        self._models = ModelsCheck(findings, shard, spool, at.models, self._evolved)

    @classmethod
    async def start(
        cls,
        connection: Connection,
        shard: int,
        spool: Spool,
        instant: datetime,
        signed: Sequence[SignedShard] = (),
    ) -> "ShardVerification":
        """Takes the shard as it stands now, or as the pass had it that this spool is of."""
        sources = await live_sources(connection)
        noted = spool.noted(_UNDER_WAY)
        if noted is not None:
            at = _decode_pass(noted)
            _check_generations(at, sources)
            return cls(spool, at, instant, signed)
        findings = Findings()
        # the models first: what they have taken in is then in the frozen shard
        models = await ModelsCheck.freeze(connection, findings, shard, sources, spool)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            frozen = await freeze(connection, shard, fingerprint(), FrozenTables(spool))
        at = ShardPass(
            frozen=frozen,
            models=models.at,
            tree=Climb(),
            groups=Grouping(),
            books=Books(),
            tallies=findings.tallies,
        )
        return cls(spool, at, instant, signed)

    @property
    def size(self) -> int:
        """How many entries there are to read, those that have been read included."""
        return self._frozen.size

    @property
    def tallies(self) -> Tallies:
        """What the checks have come to so far."""
        return self._findings.tallies

    async def run(
        self, connection: Connection, on_page: Callable[[int], None]
    ) -> tuple[ShardProof, list[MoneyLine]]:
        """Reads the log once; `on_page` is told how many entries each page had."""
        frozen = self._frozen
        on_page(self._at.read)
        if not self._at.begun:
            await self._begin(connection)
        pages = 0
        async for rows in read_shard(
            connection, frozen.shard, self._positions.next, frozen.size, PAGE_ENTRIES
        ):
            await self._page(connection, rows)
            self._at.read += len(rows)
            pages += 1
            if pages % COMMIT_PAGES == 0:
                self._commit()
            on_page(len(rows))
        return await self._finish(connection)

    async def _begin(self, connection: Connection) -> None:
        for check in _ALWAYS:
            self._findings.checked(check, 0)
        await self._set_aside.whole(connection)
        await self._tree.read_tiles(connection)
        self._at.begun = True
        self._commit()

    def _commit(self) -> None:
        at = self._at
        at.position = self._positions.next
        at.tree = self._tree.at
        at.groups = self._groups.at
        at.last_at = self._history.last_at
        self._spool.note(_UNDER_WAY, msgspec.msgpack.encode(at))
        self._spool.commit()

    async def _page(self, connection: Connection, rows: list[Record]) -> None:
        self._positions.page(rows)
        await self._tree.page(connection, rows)
        entries = self._readable(rows)
        await self._set_aside.page(connection, entries)
        originals = await self._originals(connection, entries)
        passed = self._ledger.reach(entries)
        self._follow(entries[:passed], originals)
        if passed < len(entries):
            self._ledger.close(self._history.wallets())
            self._follow(entries[passed:], originals)
        await self._models.page(connection, entries)
        self._evolved.forget()

    def _follow(self, entries: Sequence[Entry], originals: Mapping[bytes, Original]) -> None:
        self._ledger.take(entries)
        for group in self._groups.page(entries):
            self._history.group(group, originals)

    def _readable(self, rows: list[Record]) -> list[Entry]:
        entries, unreadable = self._columns.page(rows)
        for wallet_id in unreadable:
            self._history.lose(wallet_id)
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
        await check_kept_trees(connection, self._findings, frozen.shard, frozen.size)
        await self._signed.finish(connection, frozen.size, root, self._tree.roots)
        await check_timers(
            connection, self._findings, frozen.shard, self._tables.due, self._history.followed()
        )
        books = self._ledger.close(self._history.wallets())
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


def _check_generations(at: ShardPass, sources: Sequence[Source]) -> None:
    live = {(source.projection.name, source.generation) for source in sources}
    comparing = at.models.comparing
    gone = {(model.model, model.generation) for model in comparing.growing} - live
    if gone:
        raise VerificationError(
            f"Read model {min(gone)[0]} has been rebuilt since this verification began: empty its "
            "state directory and begin anew."
        )


def _original(row: Record) -> Original:
    try:
        digest = _outcomes.decode(row["data"]).body_digest
    except (msgspec.DecodeError, RecursionError):
        digest = None
    return Original(row["position"], digest)
