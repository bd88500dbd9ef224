"""The Merkle tree of a made-up log: its tiles, stored as the engine stores them."""

from collections.abc import AsyncIterable
from pathlib import Path

import asyncpg

import engine
from engine.merkle import Frontier, Tiler
from engine.sql import load_queries

_SAVE_TILES = load_queries(Path(engine.__path__[0]) / "log.sql")["save_tiles"]


async def store_tree(
    connection: asyncpg.Connection, shard: int, leaf_hashes: AsyncIterable[list[bytes]]
) -> Frontier:
    """Stores the tiles over these leaves; gives the right edge, computed beside them."""
    tiler, frontier = Tiler(), Frontier()
    async for hashes in leaf_hashes:
        frontier.extend(hashes)
        tiler.add(hashes)
        changed = tiler.take_changed()
        await connection.execute(
            _SAVE_TILES,
            shard,
            [tile.level for tile in changed],
            [tile.index for tile in changed],
            [tile.hashes for tile in changed],
        )
    await connection.execute("ANALYZE tiles")
    return frontier
