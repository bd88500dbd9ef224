"""Makes the tree of a shard's wallets at one size of its log, page by page.

Leaves stand in the order of their wallets' ids, byte by byte. What is below a size never changes,
so short statements are enough, and the engines can go on meanwhile.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from asyncpg import Connection

from engine.merkle import TILE_WIDTH, Frontier, Tile, Tiler
from projections.wallet_trees.leaves import WalletLeaf
from projections.wallet_trees.queries import QUERIES
from projections.wallet_trees.stored import WalletTree, stored_tree

TREES_KEPT_MAX: Final = 8
"""Of one shard; the oldest are dropped, and can be made again from the log."""

_TALLIED_ENTRIES: Final = 20_000
_PAGE_WALLETS: Final = 16 * TILE_WIDTH


async def count_tree(connection: Connection, shard: int, size: int) -> WalletTree:
    """The tree straight from the log's first `size` entries; reads only, and keeps nothing."""
    frontier = Frontier()
    async for leaves in _counted(connection, shard, size):
        frontier.extend(leaf.hash() for leaf in leaves)
    return WalletTree(shard, size, frontier.size, frontier.root())


async def tallied_tree(connection: Connection, shard: int) -> WalletTree | None:
    """The tree that the tallies come to now; None if there are none, or they are moving on."""
    position = await connection.fetchval(QUERIES["tallies_taken"], shard)
    frontier = Frontier()
    async for leaves in _tallied(connection, shard):
        frontier.extend(leaf.hash() for leaf in leaves)
    if position is None or position != await connection.fetchval(QUERIES["tallies_taken"], shard):
        return None
    return WalletTree(shard, position, frontier.size, frontier.root())


async def build_tree(connection: Connection, shard: int, size: int) -> WalletTree:
    """The tree of the first `size` entries, which the log has to have, kept for proofs.

    One at a time for a shard: the caller holds a lock. What it reads of the log is what came since
    the last one, unless this one is of a smaller size.
    """
    kept = await stored_tree(connection, shard, size)
    if kept is not None:
        return kept
    tree = None
    if await _take_tallies(connection, shard, size):
        tree, entries = await _store(connection, shard, size, _tallied(connection, shard))
        if entries != size:
            # somebody changed the tallies: they are of no more use
            await connection.execute(QUERIES["forget_tallies"], shard)
            tree = None
    if tree is None:
        tree, _ = await _store(connection, shard, size, _counted(connection, shard, size))
    await connection.execute(QUERIES["complete_tree"], shard, size, tree.wallets, tree.root)
    await connection.execute(QUERIES["drop_old_trees"], shard, TREES_KEPT_MAX, size)
    return tree


async def _take_tallies(connection: Connection, shard: int, size: int) -> bool:
    """Whether the tallies are at exactly this size now."""
    await connection.execute(QUERIES["begin_tallies"], shard)
    position: int = await connection.fetchval(QUERIES["tallies_taken"], shard)
    while position < size:
        stop = min(position + _TALLIED_ENTRIES, size)
        if await connection.fetchval(QUERIES["take_tallies"], shard, position, stop) is None:
            return False
        position = stop
    return position == size


async def _store(
    connection: Connection, shard: int, size: int, pages: AsyncIterator[Sequence[WalletLeaf]]
) -> tuple[WalletTree, int]:
    """The tree, and how many entries its wallets have together."""
    await connection.execute(QUERIES["drop_tiles"], shard, size)
    tiler, frontier, entries = Tiler(), Frontier(), 0
    async for leaves in pages:
        entries += sum(leaf.entries for leaf in leaves)
        first = tiler.size
        hashes = [leaf.hash() for leaf in leaves]
        tiler.add(hashes)
        frontier.extend(hashes)
        tiles = tiler.take_changed()
        await connection.execute(
            QUERIES["save_tiles"],
            shard,
            size,
            [tile.level for tile in tiles],
            [tile.index for tile in tiles],
            [_first_wallet(tile, first, leaves) for tile in tiles],
            [tile.hashes for tile in tiles],
        )
    return WalletTree(shard, size, frontier.size, frontier.root()), entries


def _first_wallet(tile: Tile, first: int, leaves: Sequence[WalletLeaf]) -> str | None:
    # pages are whole tiles, so a tile of leaves begins in the page that it came with
    return leaves[tile.start - first].wallet_id if tile.level == 0 else None


async def _counted(
    connection: Connection, shard: int, size: int
) -> AsyncIterator[list[WalletLeaf]]:
    after = ""
    while True:
        async with connection.transaction():
            await connection.execute(QUERIES["walk_in_order"])
            rows = await connection.fetch(
                QUERIES["count_wallets"], shard, size, after, _PAGE_WALLETS
            )
        if not rows:
            return
        yield [WalletLeaf(*row) for row in rows]
        after = rows[-1]["wallet_id"]


async def _tallied(connection: Connection, shard: int) -> AsyncIterator[list[WalletLeaf]]:
    after = ""
    while rows := await connection.fetch(QUERIES["tallied_wallets"], shard, after, _PAGE_WALLETS):
        yield [WalletLeaf(*row) for row in rows]
        after = rows[-1]["wallet_id"]
