"""Rows: what stands in the tables, and what queries give back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar, Self
from uuid import UUID

from msgspec import Struct

from engine.merkle import leaf_hash
from schemas.entries import Entry, decode_entry, encode_entry
from schemas.events import TAGS

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ShardState(Struct, kw_only=True):
    """A row of `shards`.

    `appended_lease` and `appended_at` are no columns: the lease that last appended, and the server's
    time when its append was let pass. A commit may stand still at the disk for long after that.
    """

    shard: int
    lease: UUID | None = None
    owner: str | None = None
    epoch: int = 0
    claimed_at: datetime | None = None
    next_offset: int = 0
    last_record: bytes | None = None
    position: int = 0
    published: int = 0
    tree: bytes = b""
    last_at: datetime = LONG_AGO
    schema_version: int = 1
    halted: str | None = None
    appended_lease: UUID | None = None
    appended_at: datetime = LONG_AGO


class StoredRow:
    """A row of `log`; its entry and leaf hash are worked out once."""

    __slots__ = (
        "_entry",
        "_leaf_hash",
        "command_id",
        "data",
        "occurred_at",
        "position",
        "shard",
        "type",
        "version",
        "wallet_id",
    )

    def __init__(
        self,
        shard: int,
        position: int,
        wallet_id: str,
        version: int | None,
        command_id: bytes,
        type: str,  # noqa: A002 the column's name
        occurred_at: datetime,
        data: bytes,
    ) -> None:
        self.shard = shard
        self.position = position
        self.wallet_id = wallet_id
        self.version = version
        self.command_id = command_id
        self.type = type
        self.occurred_at = occurred_at
        self.data = data
        self._entry: Entry | None = None
        self._leaf_hash: bytes | None = None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The row that an engine would have written for an entry."""
        return cls(
            entry.shard,
            entry.position,
            entry.wallet_id,
            entry.version,
            bytes.fromhex(entry.command_id),
            TAGS[type(entry.event)],
            entry.occurred_at,
            encode_entry(entry),
        )

    @property
    def entry(self) -> Entry:
        if self._entry is None:
            self._entry = decode_entry(self.data)
        return self._entry

    def replace_data(self, data: bytes) -> None:
        """What the database itself would refuse."""
        self.data, self._entry, self._leaf_hash = data, None, None

    @property
    def leaf_hash(self) -> bytes:
        if self._leaf_hash is None:
            self._leaf_hash = leaf_hash(self.data)
        return self._leaf_hash


class StoredDeadLetter(Struct, kw_only=True):
    """A row of `dead_letters`."""

    shard: int
    offset: int
    reason: str
    detail: str
    occurred_at: datetime
    key: bytes | None
    payload: bytes | None
    published_at: datetime | None = None


class StoredForward(Struct, frozen=True, kw_only=True):
    """A row of `forwards`."""

    shard: int
    offset: int
    home: int
    home_offset: int


class StoredSnapshot(Struct, frozen=True, kw_only=True):
    """A row of `snapshots`."""

    wallet_id: str
    version: int
    position: int
    leaf_hash: bytes
    fingerprint: bytes
    state: bytes


class Record(tuple[Any, ...]):
    """A row of an answer: as asyncpg's, by number and by name."""

    __slots__ = ()
    columns: ClassVar[dict[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:
        if key.__class__ is str:
            return tuple.__getitem__(self, self.columns[key])
        return tuple.__getitem__(self, key)

    def keys(self) -> Iterator[str]:
        return iter(self.columns)

    def values(self) -> Iterator[Any]:
        return iter(self)

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self.columns, self, strict=True)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self.columns else default


@cache
def record_type(*columns: str) -> type[Record]:
    """Makes records with these columns out of tuples."""
    return type(
        "Record",
        (Record,),
        {"__slots__": (), "columns": {name: place for place, name in enumerate(columns)}},
    )
