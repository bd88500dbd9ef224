"""Builds the tiles of a growing tree."""

from collections.abc import Iterable

from engine.merkle.errors import HashLengthError, TileMissingError
from engine.merkle.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, Tile, edge_tiles, split_hashes
from engine.merkle.tree import HASH_BYTES, root_of


class Tiler:
    """Takes leaf hashes in order and hands out the tiles that they changed.

    `Tiler(size, stored)` goes on from a tree of `size` leaves whose partial tiles, the ones that
    `edge_tiles(size)` names, are among `stored`; they may have been written for a larger tree.
    It holds what was completed until it is taken, so take after each batch.
    """

    def __init__(self, size: int = 0, stored: Iterable[Tile] = ()) -> None:
        self._size = size
        self._completed: list[Tile] = []
        self._edges: list[_Edge] = []
        nodes = size
        while nodes:
            self._edges.append(_Edge(len(self._edges), nodes // TILE_WIDTH))
            nodes >>= TILE_HEIGHT
        by_id = {tile.id: tile for tile in stored}
        for tile_id in edge_tiles(size):
            if tile_id not in by_id:
                raise TileMissingError(
                    f"Tile {tile_id} is needed to go on from {size} leaves, and isn't stored: "
                    "build the tiles anew from the log."
                )
            self._edges[tile_id.level].hashes += by_id[tile_id].at(size).hashes

    @property
    def size(self) -> int:
        """How many leaves the tiles cover, those not yet taken included."""
        return self._size

    def add(self, leaf_hashes: Iterable[bytes]) -> None:
        hashes = list(leaf_hashes)
        joined = b"".join(hashes)
        if len(joined) != len(hashes) * HASH_BYTES:
            raise HashLengthError(
                f"{len(hashes)} leaf hashes are {len(hashes) * HASH_BYTES} bytes, not "
                f"{len(joined)}: pass what leaf_hash() gives, not the entries."
            )
        level = 0
        while joined:
            if level == len(self._edges):
                self._edges.append(_Edge(level, 0))
            full = self._edges[level].fill(joined)
            self._completed += full
            joined = b"".join(root_of(split_hashes(tile.hashes)) for tile in full)
            level += 1
        self._size += len(hashes)

    def take_changed(self) -> list[Tile]:
        """What changed since the last call, by level, then index: full tiles and partial ones.

        Each is to be stored over the one of the same level and index. If that fails, make a new
        Tiler from what is stored: this one won't hand them out again.
        """
        changed = self._completed
        changed += [edge.take() for edge in self._edges if edge.changed]
        self._completed = []
        return sorted(changed)


class _Edge:
    """The tile of one level that is being filled."""

    __slots__ = ("changed", "hashes", "index", "level")

    def __init__(self, level: int, index: int) -> None:
        self.level = level
        self.index = index
        self.hashes = b""
        self.changed = False

    def fill(self, joined: bytes) -> list[Tile]:
        """Appends hashes; the tiles that this completed."""
        hashes = self.hashes + joined
        starts = range(0, len(hashes) - TILE_BYTES + 1, TILE_BYTES)
        full = [
            Tile(self.level, self.index + nth, hashes[start : start + TILE_BYTES])
            for nth, start in enumerate(starts)
        ]
        self.index += len(full)
        self.hashes = hashes[len(full) * TILE_BYTES :]
        self.changed = bool(self.hashes)
        return full

    def take(self) -> Tile:
        self.changed = False
        return Tile(self.level, self.index, self.hashes)
