"""A shard as it stood in one short snapshot: what verification holds the log against."""

from datetime import datetime
from typing import Final

from asyncpg import Connection
from msgspec import Struct

from projections.spool import Spool, SpooledRows
from projections.verification.queries import QUERIES
from schemas.instants import to_microseconds

_FETCHED_ROWS: Final = 2_000


class FrozenShard(Struct, frozen=True, kw_only=True):
    """One shard's row, of one moment.

    The log's entries are [0, `size`); `first` and `last` are the positions that it really begins
    and ends with.
    """

    shard: int
    size: int
    next_offset: int
    published: int
    last_record: bytes | None
    tree: bytes
    last_at: datetime
    first: int | None
    last: int | None


class FrozenTables:
    """What has to agree with the shard's row, of the same moment and in its spool.

    `due`: a row for each timer, by wallet and microsecond. `snapshots`: stored states of this
    release's shape, by wallet and version.
    """

    def __init__(self, spool: Spool) -> None:
        self.due: SpooledRows = spool.rows("frozen_due")
        self.snapshots: SpooledRows = spool.rows("frozen_snapshots")


async def freeze(
    connection: Connection, shard: int, fingerprint: bytes, tables: FrozenTables
) -> FrozenShard:
    """Read it; to be called inside of a REPEATABLE READ transaction."""
    (row,) = await connection.fetch(QUERIES["freeze"], shard)
    timers = await connection.cursor(QUERIES["due"], shard)
    while rows := await timers.fetch(_FETCHED_ROWS):
        tables.due.put((each["wallet_id"], to_microseconds(each["at"]), b"") for each in rows)
    snapshots = await connection.cursor(QUERIES["snapshots"], shard, fingerprint)
    while rows := await snapshots.fetch(_FETCHED_ROWS):
        tables.snapshots.put((each["wallet_id"], each["version"], each["state"]) for each in rows)
    return FrozenShard(
        shard=shard,
        size=row["position"],
        next_offset=row["next_offset"],
        published=row["published"],
        last_record=row["last_record"],
        tree=row["tree"],
        last_at=row["last_at"],
        first=row["first"],
        last=row["last"],
    )
