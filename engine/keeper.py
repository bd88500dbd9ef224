"""Keeps what makes a shard quick to read: snapshots of wallets and the tiles of its tree.

Both come from committed entries only, and are written off the hot path. What a crash leaves out
is made up for by the next lease.
"""

import asyncio
from typing import Final

from engine.batch import Batch
from engine.log import ShardLog, Snapshot
from engine.merkle import TILE_WIDTH, Tile, Tiler, leaf_hashes

_INTERVAL_S: Final = 0.5
_PAGE_ENTRIES: Final = 5_000


class Keeper:
    """Writes the snapshots and tiles of one lease, some moments after the entries."""

    def __init__(self, log: ShardLog, position: int) -> None:
        self._log = log
        self._position = position
        self._leaf_hashes: list[bytes] = []
        self._snapshots: dict[str, Snapshot] = {}
        self._tiler: Tiler | None = None
        self._covered = 0
        self._turn = asyncio.Lock()

    def note(self, batch: Batch) -> None:
        """Take over what has just been committed."""
        self._leaf_hashes += batch.leaf_hashes
        self._snapshots.update((snapshot.wallet_id, snapshot) for snapshot in batch.snapshots)

    async def run(self) -> None:
        """Write now and then, until cancelled."""
        while True:
            await self.flush()
            await asyncio.sleep(_INTERVAL_S)

    async def flush(self) -> None:
        """Write what has been noted so far."""
        async with self._turn:
            await self._flush_snapshots()
            await self._flush_tiles()

    async def _flush_snapshots(self) -> None:
        if self._snapshots:
            snapshots, self._snapshots = self._snapshots, {}
            await self._log.save_snapshots(list(snapshots.values()))

    async def _flush_tiles(self) -> None:
        if self._tiler is None:
            self._tiler = await self._catch_up()
        hashes, self._leaf_hashes = self._leaf_hashes, []
        self._tiler.add(hashes[self._take_covered(len(hashes)) :])
        if tiles := self._tiler.take_changed():
            await self._log.save_tiles(tiles)

    def _take_covered(self, noted: int) -> int:
        """How many of the next noted entries the stored tiles had already."""
        covered = min(self._covered, noted)
        self._covered -= covered
        return covered

    async def _catch_up(self) -> Tiler:
        stored = await self._log.partial_tiles()
        tiler = Tiler(_covered(stored), stored)
        # the next owner may have been quicker, and its tiles have what this lease has noted
        self._covered = max(0, tiler.size - self._position)
        while tiler.size < self._position:
            entries = await self._log.read_entries(tiler.size, self._position, _PAGE_ENTRIES)
            tiler.add(leaf_hashes(entry.data for entry in entries))
            await self._log.save_tiles(tiler.take_changed())
        return tiler


def _covered(stored: list[Tile]) -> int:
    """How many entries the stored tiles stand for, given the last one of each level."""
    lowest = next((tile for tile in stored if tile.level == 0), None)
    return 0 if lowest is None else lowest.index * TILE_WIDTH + lowest.width
