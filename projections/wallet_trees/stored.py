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
