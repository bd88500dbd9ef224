"""Proofs over a shard's log at one size, out of the stored tiles and what is not in tiles yet.

proofs = await read_log_nodes(connection, shard, size, lambda node: inclusion_proof(7, size, node))
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from asyncpg import Connection

from engine.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    ReadNode,
    Tile,
    TileId,
    Tiler,
    edge_tiles,
    leaf_hashes,
    node_reader,
    tiles_read_by,
)
from engine.replay import read_shard
from engine.sql import load_queries

_QUERIES = load_queries(Path(__file__).parent / "sql" / "log_tree.sql")
_PAGE_ENTRIES: Final = 2_048
_FETCHED_TILES: Final = 2_000


async def read_log_nodes(
    connection: Connection, shard: int, size: int, prove: Callable[[ReadNode], object]
) -> ReadNode:
    """What gives `prove` the nodes that it asks for, of the tree of the first `size` entries.

    `prove` is run once without any to see which it needs, so it may not look at their values. What
    comes out is only as good as the tiles: compare it with a root from elsewhere.
    """
    wanted = tiles_read_by(prove)
    tiles = await read_tiles(connection, shard, wanted)
    covered = min(await tiled_size(connection, shard), size)
    if covered < size:
        tiles |= await _tail(connection, shard, covered, size, set(wanted))
    return node_reader(lambda level, index: tiles.get(TileId(level, index), b""))


async def read_tiles(
    connection: Connection, shard: int, wanted: Sequence[TileId]
) -> dict[TileId, bytes]:
    """Those of these tiles that are stored."""
    found: dict[TileId, bytes] = {}
    for first in range(0, len(wanted), _FETCHED_TILES):
        page = wanted[first : first + _FETCHED_TILES]
        rows = await connection.fetch(
            _QUERIES["tiles"], shard, [t.level for t in page], [t.index for t in page]
        )
        found |= {TileId(row["level"], row["index"]): row["hashes"] for row in rows}
    return found


async def tiled_size(connection: Connection, shard: int) -> int:
    """How many entries the stored tiles stand for."""
    last = await connection.fetchrow(_QUERIES["tiled"], shard)
    return 0 if last is None else last["index"] * TILE_WIDTH + last["bytes"] // HASH_BYTES


async def _tail(
    connection: Connection, shard: int, covered: int, size: int, wanted: set[TileId]
) -> dict[TileId, bytes]:
    """The wanted tiles that what is not tiled yet adds to."""
    edges = await read_tiles(connection, shard, edge_tiles(covered))
    tiler = Tiler(covered, [Tile(id_.level, id_.index, data) for id_, data in edges.items()])
    added: dict[TileId, bytes] = {}
    async for rows in read_shard(connection, shard, covered, size, _PAGE_ENTRIES):
        tiler.add(leaf_hashes(row["data"] for row in rows))
        added |= {tile.id: tile.hashes for tile in tiler.take_changed() if tile.id in wanted}
    return added
