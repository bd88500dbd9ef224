"""Do the stored tiles come to one tree, and to which root?"""

from collections import defaultdict
from collections.abc import Iterator

from engine.merkle.errors import TileMissingError, TilesDisagreeError
from engine.merkle.tiles import TILE_BYTES, TILE_WIDTH, Tile, TileId, edge_tiles, split_hashes
from engine.merkle.tree import Frontier, root_of


def depth_first(size: int) -> Iterator[TileId]:
    """Every tile of a tree of `size` leaves: a full one follows its last child, partial ones last."""
    for leaf in range(size // TILE_WIDTH):
        level, index = 0, leaf
        yield TileId(level, index)
        while (index + 1) % TILE_WIDTH == 0:
            level, index = level + 1, index // TILE_WIDTH
            yield TileId(level, index)
    yield from edge_tiles(size)


class TileCheck:
    """Do the tiles of each level follow from the level below, and what tree do they come to?

    Give it all tiles of a tree of `size` leaves, `depth_first`, as they are read; what was stored
    for a larger tree is cut. It holds at most 256 hashes for each level.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._awaited = depth_first(size)
        self._below: defaultdict[int, list[bytes]] = defaultdict(list)
        self._peaks = b""

    def add(self, stored: Tile) -> None:
        """Raises TileMissingError, TileTooNarrowError or TilesDisagreeError, naming the tile."""
        tile = stored.at(self._size)
        if not tile.hashes:
            return
        awaited = next(self._awaited, None)
        if tile.id != awaited:
            raise TileMissingError(
                f"Tile {awaited} should come next, and tile {tile.id} did: pass each tile once, "
                "in the order of `depth_first`; if it isn't stored, build the tiles anew from the "
                "log."
            )
        if tile.level > 0:
            self._compare_with_below(tile)
        self._climb(tile)

    def finish(self) -> Frontier:
        """The frontier that the tiles come to: compare its root, extended by what isn't tiled."""
        missing = next(self._awaited, None)
        if missing is not None:
            raise TileMissingError(
                f"Tile {missing} is missing: a tree of {self._size} leaves has it. "
                "Build the tiles anew from the log."
            )
        return Frontier.from_bytes(self._size, self._peaks)

    def _compare_with_below(self, tile: Tile) -> None:
        computed = self._below.pop(tile.level - 1)
        stored = split_hashes(tile.hashes)
        if computed == stored:
            return
        pairs = zip(computed, stored, strict=True)
        offset = next(at for at, (below, here) in enumerate(pairs) if below != here)
        child = TileId(tile.level - 1, tile.start + offset)
        raise TilesDisagreeError(
            f"Hash {offset} of tile {tile.id} is not the root of tile {child}: one of the two "
            "was changed. Compare both with tiles computed anew from the log."
        )

    def _climb(self, tile: Tile) -> None:
        hashes = split_hashes(tile.hashes)
        if len(tile.hashes) == TILE_BYTES:
            self._below[tile.level].append(root_of(hashes))
            return
        edge = Frontier()
        edge.extend(hashes)
        self._peaks = edge.to_bytes() + self._peaks
