"""A shard as it stood in one short snapshot: what verification holds the log against."""

from datetime import datetime

from asyncpg import Connection
from msgspec import Struct

from projections.verification.queries import QUERIES


class FrozenSnapshot(Struct, frozen=True):
    """A stored state of a wallet, of this release's shape."""

    version: int
    state: bytes


class FrozenShard(Struct, frozen=True, kw_only=True):
    """One shard's row and what has to agree with it, all of one moment.

    The log's entries are [0, `size`); `first` and `last` are the positions that it really begins
    and ends with. `due` are (wallet, moment), `snapshots` are by wallet.
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
    due: frozenset[tuple[str, datetime]]
    snapshots: dict[str, FrozenSnapshot]


async def freeze(connection: Connection, shard: int, fingerprint: bytes) -> FrozenShard:
    """Read it; to be called inside of a REPEATABLE READ transaction."""
    (row,) = await connection.fetch(QUERIES["freeze"], shard)
    due = await connection.fetch(QUERIES["due"], shard)
    snapshots = await connection.fetch(QUERIES["snapshots"], shard, fingerprint)
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
        due=frozenset((timer["wallet_id"], timer["at"]) for timer in due),
        snapshots={
            row["wallet_id"]: FrozenSnapshot(row["version"], row["state"]) for row in snapshots
        },
    )
