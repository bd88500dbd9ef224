"""Proof of what a tree of wallets says about one of them."""

from typing import Final

from asyncpg import Connection
from msgspec import Struct

from engine.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    ReadNode,
    inclusion_proof,
    node_reader,
    tiles_read_by,
)
from projections.errors import ProjectionError
from projections.wallet_trees.leaves import WalletLeaf
from projections.wallet_trees.queries import QUERIES
from projections.wallet_trees.stored import WalletTree, stored_tree

_NOWHERE: Final = -1


class WalletTreeMissingError(ProjectionError):
    """The tree of this size is not kept, or was not made."""

    code = "wallet_tree_missing"


class WalletProof(Struct, frozen=True):
    """That `leaf` is leaf number `index` of the tree; hashes of 32 bytes, lowest level first."""

    tree: WalletTree
    leaf: WalletLeaf
    index: int
    proof: list[bytes]


async def prove_wallet(
    connection: Connection, shard: int, size: int, wallet_id: str
) -> WalletProof | None:
    """Proof of the wallet's leaf at that size of the log; None if it has no entries there.

    Raises WalletTreeMissingError; `build_tree` makes the tree from the log.
    """
    tree = await stored_tree(connection, shard, size)
    if tree is None:
        raise WalletTreeMissingError(
            f"The tree of wallets of shard {shard} at {size} entries is not kept: make a new "
            "checkpoint with `wallet checkpoint` and prove against that one."
        )
    (row,) = await connection.fetch(QUERIES["count_wallet"], shard, wallet_id, size)
    leaf = WalletLeaf(wallet_id, row["version"], row["entries"])
    if not leaf.entries:
        return None
    index = await _index(connection, tree, leaf)
    if index == _NOWHERE:
        raise WalletTreeMissingError(
            f"The tree of wallets of shard {shard} at {size} entries has another leaf of wallet "
            f"{wallet_id} than the log leads to: one of the two was changed. `wallet verify` with "
            "the signed checkpoint says which."
        )
    node = await _nodes(connection, tree, index)
    return WalletProof(tree, leaf, index, inclusion_proof(index, tree.wallets, node))


async def _index(connection: Connection, tree: WalletTree, leaf: WalletLeaf) -> int:
    row = await connection.fetchrow(QUERIES["leaf_tile"], tree.shard, tree.size, leaf.wallet_id)
    if row is None:
        return _NOWHERE
    hashes, wanted = row["hashes"], leaf.hash()
    places = range(0, len(hashes), HASH_BYTES)
    found = (at for at in places if hashes[at : at + HASH_BYTES] == wanted)
    start = next(found, None)
    return _NOWHERE if start is None else row["index"] * TILE_WIDTH + start // HASH_BYTES


async def _nodes(connection: Connection, tree: WalletTree, index: int) -> ReadNode:
    wanted = tiles_read_by(lambda node: inclusion_proof(index, tree.wallets, node))
    rows = await connection.fetch(
        QUERIES["tiles"],
        tree.shard,
        tree.size,
        [tile.level for tile in wanted],
        [tile.index for tile in wanted],
    )
    tiles = {(row["level"], row["index"]): row["hashes"] for row in rows}
    return node_reader(lambda level, place: tiles.get((level, place), b""))
