"""What a keeper writes while another lease has taken the shard over."""

from types import SimpleNamespace

import pytest

from engine.keeper import Keeper
from engine.merkle import Tile, leaf_hashes

LOG = [b"entry %d" % position for position in range(300)]
HASHES = leaf_hashes(LOG)


class StoredTiles:
    """As the table: of each level and index the widest."""

    def __init__(self):
        self.tiles = {}

    async def partial_tiles(self):
        last = {}
        for (level, index), hashes in sorted(self.tiles.items()):
            last[level] = Tile(level, index, hashes)
        return list(last.values())

    async def save_tiles(self, tiles):
        for tile in tiles:
            kept = self.tiles.get((tile.level, tile.index), b"")
            self.tiles[tile.level, tile.index] = max(kept, tile.hashes, key=len)

    async def read_entries(self, start, stop, count_max):
        return [SimpleNamespace(data=data) for data in LOG[start:stop]]

    def holds(self, size):
        expected = b"".join(HASHES[:size])
        found = [hashes for (level, _), hashes in sorted(self.tiles.items()) if level == 0]
        return b"".join(found) == expected


def committed(start, stop):
    return SimpleNamespace(leaf_hashes=HASHES[start:stop], snapshots=[])


@pytest.mark.parametrize("size", [7, 12, 260])
async def test_one_that_was_overtaken_adds_nothing_twice(size):
    stored = StoredTiles()
    slow, quick = Keeper(stored, 0), Keeper(stored, 5)
    slow.note(committed(0, 5))
    quick.note(committed(5, size))
    await quick.flush()
    await slow.flush()
    assert stored.holds(size)


async def test_what_the_tiles_had_already_may_be_noted_later():
    stored = StoredTiles()
    await StoredTiles.save_tiles(stored, [Tile(0, 0, b"".join(HASHES[:9]))])
    keeper = Keeper(stored, 4)
    await keeper.flush()
    for start in range(4, 20, 3):
        keeper.note(committed(start, start + 3))
        await keeper.flush()
    assert stored.holds(22)


async def test_one_that_comes_late_catches_up_from_the_log():
    stored = StoredTiles()
    keeper = Keeper(stored, 270)
    keeper.note(committed(270, 300))
    await keeper.flush()
    assert stored.holds(300)
