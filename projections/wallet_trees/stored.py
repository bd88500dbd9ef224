"""Which trees of wallets are kept."""

from asyncpg import Connection
from msgspec import Struct

from projections.wallet_trees.queries import QUERIES


class WalletTree(Struct, frozen=True):
    """The tree of `wallets` leaves over the first `size` entries of a shard; `root` is 32 bytes."""

    shard: int
    size: int
    wallets: int
    root: bytes


async def stored_tree(connection: Connection, shard: int, size: int) -> WalletTree | None:
    """The tree at exactly this size of the log, if it is kept."""
    row = await connection.fetchrow(QUERIES["tree"], shard, size)
    return None if row is None else WalletTree(shard, size, row["wallets"], row["root"])


async def newest_tree(connection: Connection, shard: int, size_max: int) -> WalletTree | None:
    """The tree of the largest size that is kept, up to this one."""
    row = await connection.fetchrow(QUERIES["newest_tree"], shard, size_max)
    return None if row is None else WalletTree(shard, row["size"], row["wallets"], row["root"])
