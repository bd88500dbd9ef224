"""The levels of the tree as tiles of up to 256 hashes, as C2SP tlog-tiles lays them out.

Tile N of tile level L holds the nodes N * 256 onward of tree level 8 * L. A tile never loses or
changes a hash: it is filled from the left, and never written again once it is full.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from engine.merkle.errors import TileTooNarrowError
from engine.merkle.tree import HASH_BYTES, root_of

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES

ReadNode = Callable[[int, int], bytes]
"""Gives the hash of node (tree level, index), a perfect subtree; leaves are level 0."""

ReadTile = Callable[[int, int], bytes]
"""Gives the hashes of tile (tile level, index), 32 bytes each."""


@dataclass(frozen=True, slots=True, order=True)
class TileId:
    level: int
    index: int

    def width_at(self, size: int) -> int:
        """How many hashes, 0 to 256, this tile holds when the tree has `size` leaves."""
        nodes = size >> (TILE_HEIGHT * self.level)
        return min(max(nodes - self.index * TILE_WIDTH, 0), TILE_WIDTH)

    def __str__(self) -> str:
        return f"{self.level}/{self.index}"


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    level: int
    index: int
    hashes: bytes

    @property
    def id(self) -> TileId:
        return TileId(self.level, self.index)

    @property
    def start(self) -> int:
        """The index, at the tile's own level, of the first node."""
        return self.index * TILE_WIDTH

    @property
    def width(self) -> int:
        return len(self.hashes) // HASH_BYTES

    def at(self, size: int) -> Self:
        """The tile as it stood when the tree had `size` leaves; empty if it didn't exist yet.

        Raises TileTooNarrowError when it has not come that far.
        """
        needed = self.id.width_at(size) * HASH_BYTES
        if len(self.hashes) < needed:
            raise TileTooNarrowError(
                f"Tile {self.id} is {len(self.hashes)} bytes, and {needed} at {size} leaves: "
                "it was stored for a smaller tree. Store it anew from the log."
            )
        return replace(self, hashes=self.hashes[:needed])


def split_hashes(joined: bytes) -> list[bytes]:
    return [
        bytes(joined[start : start + HASH_BYTES]) for start in range(0, len(joined), HASH_BYTES)
    ]


def tile_ids(size: int) -> Iterator[TileId]:
    """Every tile of a tree of `size` leaves, by level, then index."""
    level, nodes = 0, size
    while nodes:
        for index in range(-(-nodes // TILE_WIDTH)):
            yield TileId(level, index)
        level, nodes = level + 1, nodes >> TILE_HEIGHT


def edge_tiles(size: int) -> list[TileId]:
    """The partial tiles of a tree of `size` leaves: what a `Tiler` needs to go on from there."""
    edges = []
    level, nodes = 0, size
    while nodes:
        if nodes % TILE_WIDTH:
            edges.append(TileId(level, nodes // TILE_WIDTH))
        level, nodes = level + 1, nodes >> TILE_HEIGHT
    return edges


def node_reader(read_tile: ReadTile) -> ReadNode:
    """Reads nodes out of tiles; what lies between two tile levels is computed."""

    def read_node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        tile = TileId(tile_level, first // TILE_WIDTH)
        start = first % TILE_WIDTH * HASH_BYTES
        end = start + (HASH_BYTES << height)
        hashes = read_tile(tile.level, tile.index)
        if len(hashes) < end:
            raise TileTooNarrowError(
                f"Tile {tile} is {len(hashes)} bytes, and node {index} of tree level {level} "
                f"needs {end}: ask for a tree no larger than the one that is tiled."
            )
        return root_of(split_hashes(hashes[start:end]))

    return read_node


def tiles_read_by(prove: Callable[[ReadNode], object]) -> list[TileId]:
    """The tiles that `prove` would read nodes from, so that they can be fetched in one query.

    `tiles_read_by(lambda node: inclusion_proof(7, 1_000, node))`
    """
    tiles = set()

    def note(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tiles.add(TileId(tile_level, (index << height) // TILE_WIDTH))
        return bytes(HASH_BYTES)

    prove(note)
    return sorted(tiles)
