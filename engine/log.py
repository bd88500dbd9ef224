"""One shard of the log in PostgreSQL: the claim, the fenced append, and what deciding reads.

Every method is one round trip. Errors of the connection come through as asyncpg raises them.
"""

import asyncio
import re
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID, uuid4

import asyncpg
import msgspec
from msgspec import Struct

from engine.decider import evolve
from engine.errors import (
    AlreadyRecordedError,
    ClockRefusedError,
    DataRefusedError,
    LeaseLostError,
    ShardHaltedError,
)
from engine.merkle import Frontier, Tile
from engine.settings import Settings
from engine.sql import load_queries
from engine.wallet import HistoryError, Wallet, decode_wallet, fingerprint
from schemas.entries import SCHEMA_VERSION, decode_entry
from schemas.events import CommandRejected
from schemas.rejections import RejectionCode

TRANSACTION_TIMEOUT_S: Final = 10
"""No append can hold its shard's row for longer, even if its process is stopped."""

APPEND_SESSION_NAME: Final = "wallet-engine append"

_QUERIES = load_queries(Path(__file__).with_name("log.sql"))
_REFUSED_CLASSES: Final = ("22", "23", "54")
_LOAD_WALLETS_MAX: Final = 500
_LOAD_EVENTS_MAX: Final = 1_000
_READ_BYTES_MAX: Final = 2 * 1024 * 1024
"""A query's rows end with the one that reaches this: they are of any size between them."""

_BODY_DIGEST_WITHIN_BYTES: Final = 1_024
"""It stands before the event, behind ids and numbers of bounded length."""

_BODY_DIGEST: Final = re.compile(rb'"body_digest":(?:null|"([0-9a-f]*)")')

_APPEND_SESSION = {
    "application_name": APPEND_SESSION_NAME,
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "transaction_timeout": f"{TRANSACTION_TIMEOUT_S}s",
    "jit": "off",
}
# The planner cannot know that these joins meet a handful of rows in the largest of tables
_LOOKUP_SESSION = {
    "application_name": "wallet-engine lookup",
    "default_transaction_isolation": "read committed",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def append_query(*, more: bool) -> str:
    """The statement of a batch that has entries alone, or `more` than these."""
    return _QUERIES["append"].replace("{more}", _QUERIES["append_more"] if more else "")


class ShardRow(Struct, frozen=True, kw_only=True):
    """What a claim was given: where the shard stands, and the lease to append under."""

    shard: int
    lease: UUID
    epoch: int
    next_offset: int
    last_record: bytes | None
    position: int
    published: int
    tree: bytes
    last_at: datetime

    @property
    def frontier(self) -> Frontier:
        """The right edge of the tree over the first `position` entries."""
        return Frontier.from_bytes(self.position, self.tree)


class DeadLetterRow(Struct, frozen=True, kw_only=True):
    """A record that went no further, to be kept whole."""

    offset: int
    reason: str
    detail: str
    key: bytes | None
    payload: bytes | None


class ForwardRow(Struct, frozen=True, kw_only=True):
    """A command that was sent on to its wallet's home partition."""

    offset: int
    home: int
    home_offset: int


class Append(Struct, kw_only=True):
    """All that one batch writes, and the place in the shard it was computed for.

    `rejections` are the codes of those entries that are some, for whoever counts them.
    """

    from_offset: int
    from_position: int
    to_offset: int
    last_record: bytes | None
    frontier: Frontier
    now: datetime
    published: int
    wallet_ids: list[str] = []
    versions: list[int | None] = []
    command_ids: list[bytes] = []
    types: list[str] = []
    rejections: list[RejectionCode] = []
    data: list[bytes] = []
    due_added: set[tuple[datetime, str]] = set()
    due_removed: list[tuple[datetime, str]] = []
    dead_letters: list[DeadLetterRow] = []
    forwards: list[ForwardRow] = []

    @property
    def to_position(self) -> int:
        """The shard's position when this is appended."""
        return self.from_position + len(self.data)

    @property
    def has_more(self) -> bool:
        """Whether there is anything besides entries."""
        return bool(self.due_added or self.due_removed or self.dead_letters or self.forwards)


class Snapshot(Struct, frozen=True, kw_only=True):
    """A wallet's state after the committed entry at `position`."""

    wallet_id: str
    version: int
    position: int
    leaf_hash: bytes
    state: bytes


class LoadedWallet(Struct, frozen=True):
    """A wallet's state (None: it does not exist), and how many entries were replayed for it."""

    wallet: Wallet | None
    replayed: int


class StoredEntry(Struct, frozen=True):
    """An entry as it stands in the log."""

    position: int
    wallet_id: str
    type: str
    occurred_at: datetime
    data: bytes


class ShardLog:
    """The log of one shard, over three connections that belong to one lease.

    Appends, look-ups and background work each have their own, so that none waits for another.
    """

    def __init__(
        self,
        shard: int,
        append: asyncpg.Connection,
        lookup: asyncpg.Connection,
        background: asyncpg.Connection,
    ) -> None:
        self.shard = shard
        self._append = append
        self._lookup = lookup
        self._background = background
        self._lease: UUID | None = None
        self._background_turn = asyncio.Lock()

    @classmethod
    async def connect(cls, shard: int, settings: Settings) -> Self:
        """Open the three connections. The session fixes what the append's safety rests on."""
        opened: list[asyncpg.Connection] = []
        try:
            for session in (_APPEND_SESSION, _LOOKUP_SESSION, _LOOKUP_SESSION):
                connection = await asyncpg.connect(
                    settings.database_url,
                    timeout=settings.database_timeout_ms / 1000,
                    command_timeout=settings.database_timeout_ms / 1000,
                    server_settings=session,
                )
                opened.append(connection)
        except BaseException:
            for connection in opened:
                connection.terminate()
            raise
        return cls(shard, *opened)

    def close(self) -> None:
        """Drop the connections at once; the server rolls back what was not committed."""
        for connection in (self._append, self._lookup, self._background):
            connection.terminate()

    async def claim(self, owner: str) -> ShardRow:
        """Take the shard over: from here on, every older lease appends nothing.

        Raises ShardHaltedError if the shard is unknown or was written by a newer release.
        """
        row = await self._append.fetchrow(
            _QUERIES["claim"], self.shard, uuid4(), owner, SCHEMA_VERSION
        )
        if row is None:
            raise await self._why_not_claimed()
        self._lease = row["lease"]
        return ShardRow(**dict(row))

    async def next_offset(self) -> int:
        """Where the shard goes on, whoever holds it.

        Raises ShardHaltedError if the shard is unknown.
        """
        row = await self._append.fetchrow(_QUERIES["read_shard"], self.shard)
        if row is None:
            raise await self._why_not_claimed()
        return int(row["next_offset"])

    async def _why_not_claimed(self) -> ShardHaltedError:
        row = await self._append.fetchrow(_QUERIES["read_shard"], self.shard)
        if row is None:
            return ShardHaltedError(
                "shard_unknown",
                f"The database has no shard {self.shard}: WALLET_DATABASE_URL and the commands"
                " topic do not belong together, or the topic has been given more partitions.",
            )
        return ShardHaltedError(
            "newer_release",
            f"Shard {self.shard} holds entries of schema {row['schema_version']}, and this"
            f" engine knows {SCHEMA_VERSION}: start the newer release here as well.",
        )

    async def append(self, batch: Append) -> None:
        """Write the batch whole, or raise and have written nothing.

        Raises LeaseLostError, ClockRefusedError, DataRefusedError, of the last kind
        AlreadyRecordedError if the log has one of the ids; with any other error the
        outcome is unknown, and only a new claim can tell.
        """
        try:
            more = self._arguments_of_more(batch) if batch.has_more else ()
            written = await self._append.fetchval(
                append_query(more=bool(more)), *self._arguments(batch), *more
            )
        except asyncpg.UniqueViolationError as error:
            # which index it was can't be told: partitions name theirs as they like
            raise AlreadyRecordedError(f"{error.sqlstate}: {error}") from error
        except asyncpg.PostgresError as error:
            if (error.sqlstate or "")[:2] in _REFUSED_CLASSES:
                raise DataRefusedError(f"{error.sqlstate}: {error}") from error
            raise
        if not written:
            raise await self._why_not_appended(batch)

    def _arguments(self, batch: Append) -> list[Any]:
        return [
            self.shard,
            self._lease,
            batch.from_offset,
            batch.from_position,
            batch.to_offset,
            batch.to_position,
            batch.last_record,
            batch.frontier.to_bytes(),
            batch.now,
            batch.published,
            SCHEMA_VERSION,
            batch.wallet_ids,
            batch.versions,
            batch.command_ids,
            batch.types,
            batch.data,
        ]

    def _arguments_of_more(self, batch: Append) -> list[Any]:
        due_added, due_removed = sorted(batch.due_added), batch.due_removed
        dead, forwards = batch.dead_letters, batch.forwards
        return [
            [at for at, _ in due_added],
            [wallet_id for _, wallet_id in due_added],
            [at for at, _ in due_removed],
            [wallet_id for _, wallet_id in due_removed],
            [letter.offset for letter in dead],
            [letter.reason for letter in dead],
            [letter.detail for letter in dead],
            [letter.key for letter in dead],
            [letter.payload for letter in dead],
            [forward.offset for forward in forwards],
            [forward.home for forward in forwards],
            [forward.home_offset for forward in forwards],
        ]

    async def _why_not_appended(self, batch: Append) -> Exception:
        row = await self._append.fetchrow(_QUERIES["read_shard"], self.shard)
        if row is None or row["lease"] != self._lease:
            return _lease_lost(self.shard)
        if (row["next_offset"], row["position"]) != (batch.from_offset, batch.from_position):
            return ShardHaltedError(
                "stale_batch",
                f"Shard {self.shard} stands at offset {row['next_offset']}, position"
                f" {row['position']}, but a batch for {batch.from_offset}, {batch.from_position}"
                " came under the same lease: a defect of the engine; report it.",
            )
        return ClockRefusedError(
            f"shard {self.shard}: the batch was decided at {batch.now}, the database's clock says"
            f" {row['database_now']}; if this lasts, set the clocks of both machines by NTP"
        )

    async def halt(self, reason: str) -> None:
        """Leave word in the row; does nothing if another worker has claimed the shard."""
        await self._append.execute(_QUERIES["halt"], self.shard, self._lease, reason)

    async def find_outcomes(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The body digest of each of these command and conflict ids that the log has."""
        rows = await self._lookup.fetch(
            _QUERIES["find_outcomes"], self.shard, ids, _BODY_DIGEST_WITHIN_BYTES
        )
        return {row["command_id"]: self._body_of(row["data"]) for row in rows}

    def _body_of(self, head: bytes) -> bytes:
        found = _BODY_DIGEST.search(head)
        if found is None:
            raise self._unreadable("It has no body digest where it belongs.")
        return bytes.fromhex((found[1] or b"").decode())

    async def load_wallets(self, wallet_ids: Sequence[str]) -> dict[str, LoadedWallet]:
        """Each wallet's committed state, by snapshot and tail.

        Raises ShardHaltedError if an entry cannot be read: a newer release wrote it.
        """
        loaded: dict[str, LoadedWallet] = {}
        asked, count = deque(wallet_ids), _LOAD_WALLETS_MAX
        while asked:
            page = [asked.popleft() for _ in range(min(count, len(asked)))]
            unfinished = await self._load_some(page, loaded)
            asked.extendleft(reversed(unfinished))
            # those that an answer has no room for are read by the server all the same
            finished = len(page) - len(unfinished)
            count = max(1, finished) if unfinished else min(count * 2, _LOAD_WALLETS_MAX)
        return loaded

    async def _load_some(
        self, wallet_ids: Sequence[str], loaded: dict[str, LoadedWallet]
    ) -> list[str]:
        """Bring wallets forward as far as one answer goes; those that are not at their end."""
        rows = await self._lookup.fetch(
            _QUERIES["load_wallets"],
            self.shard,
            wallet_ids,
            fingerprint(),
            [_version_of(loaded.get(wallet_id)) for wallet_id in wallet_ids],
            _LOAD_EVENTS_MAX,
            _READ_BYTES_MAX,
        )
        events: Counter[str] = Counter()
        answer_bytes = 0
        for wallet_id, state, data in rows:
            before = loaded.get(wallet_id)
            if before is None:
                before = LoadedWallet(None if state is None else decode_wallet(state), 0)
            if data is not None:
                events[wallet_id] += 1
                before = LoadedWallet(self._replay(before.wallet, data), before.replayed + 1)
            loaded[wallet_id] = before
            answer_bytes += len(data or b"") + len(state or b"")
        cut = {wallet_id for wallet_id, count in events.items() if count == _LOAD_EVENTS_MAX}
        if answer_bytes >= _READ_BYTES_MAX:
            cut.add(rows[-1][0])
        return [name for name in wallet_ids if name in cut or name not in loaded]

    def _replay(self, wallet: Wallet | None, data: bytes) -> Wallet:
        try:
            event = decode_entry(data).event
        except msgspec.DecodeError as error:
            raise self._unreadable(error) from error
        if isinstance(event, CommandRejected):
            raise self._unreadable("A rejection has a version.")
        try:
            return evolve(wallet, event)
        except HistoryError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, reason: object) -> ShardHaltedError:
        return ShardHaltedError(
            "log_unreadable",
            f"Shard {self.shard} holds an entry that this release cannot follow ({reason}). If a"
            " newer release wrote it, start that one here as well; otherwise run `wallet verify`.",
        )

    async def read_due(self, now: datetime, wallets_max: int) -> list[tuple[datetime, str]]:
        """(moment, wallet) of lots that have run out by `now`, the earliest first."""
        rows = await self._lookup.fetch(_QUERIES["read_due"], self.shard, now, wallets_max)
        return [(row["at"], row["wallet_id"]) for row in rows]

    async def check_lease(self) -> None:
        """Raises LeaseLostError if another worker has claimed the shard."""
        async with self._background_turn:
            row = await self._background.fetchrow(_QUERIES["read_shard"], self.shard)
        if row is None or row["lease"] != self._lease:
            raise _lease_lost(self.shard)

    async def next_due(self) -> datetime | None:
        """When the next lot of the shard runs out."""
        async with self._background_turn:
            at: datetime | None = await self._background.fetchval(_QUERIES["next_due"], self.shard)
        return at

    async def read_entries(self, start: int, stop: int, count_max: int) -> list[StoredEntry]:
        """Entries from position `start` to `stop` (exclusive), at most `count_max`.

        Fewer, but one at least, if they are large.
        """
        async with self._background_turn:
            rows = await self._background.fetch(
                _QUERIES["read_entries"], self.shard, start, stop, count_max, _READ_BYTES_MAX
            )
        return [StoredEntry(*row) for row in rows]

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep these states, unless newer ones are there."""
        async with self._background_turn:
            await self._background.execute(
                _QUERIES["save_snapshots"],
                self.shard,
                [snapshot.wallet_id for snapshot in snapshots],
                [snapshot.version for snapshot in snapshots],
                [snapshot.position for snapshot in snapshots],
                [snapshot.leaf_hash for snapshot in snapshots],
                [snapshot.state for snapshot in snapshots],
                fingerprint(),
            )

    async def partial_tiles(self) -> list[Tile]:
        """The last tile of each level."""
        async with self._background_turn:
            rows = await self._background.fetch(_QUERIES["partial_tiles"], self.shard)
        return [Tile(row["level"], row["index"], row["hashes"]) for row in rows]

    async def save_tiles(self, tiles: Sequence[Tile]) -> None:
        """Keep these tiles, all or none."""
        async with self._background_turn:
            await self._background.execute(
                _QUERIES["save_tiles"],
                self.shard,
                [tile.level for tile in tiles],
                [tile.index for tile in tiles],
                [tile.hashes for tile in tiles],
            )

    async def unpublished_dead_letters(self, count_max: int) -> list[asyncpg.Record]:
        """Rows (record_offset, reason, detail, occurred_at, key, payload), by offset.

        Fewer than `count_max`, but one at least, if they are large.
        """
        async with self._background_turn:
            return await self._background.fetch(
                _QUERIES["unpublished_dead_letters"], self.shard, count_max, _READ_BYTES_MAX
            )

    async def mark_dead_letters_published(self, offsets: Sequence[int]) -> None:
        """Note that the broker has acknowledged these."""
        async with self._background_turn:
            await self._background.execute(
                _QUERIES["mark_dead_letters_published"], self.shard, offsets
            )


def _lease_lost(shard: int) -> LeaseLostError:
    return LeaseLostError(f"shard {shard} has been claimed by another worker")


def _version_of(loaded: LoadedWallet | None) -> int | None:
    """What was reached, if anything was."""
    return None if loaded is None or loaded.wallet is None else loaded.wallet.version
