"""Do the stored tiles come to one tree, and to which root?"""

from engine.merkle.errors import TileMissingError, TilesDisagreeError
from engine.merkle.tiles import TILE_BYTES, Tile, TileId, split_hashes, tile_ids
from engine.merkle.tree import HASH_BYTES, Frontier, root_of


class TileCheck:
    """Do the tiles of each level follow from the level below, and what tree do they come to?

    Give it all tiles of a tree of `size` leaves, by level, then index, as they are read; what
    was stored for a larger tree is cut. It holds one hash for each full tile of a level.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._awaited = tile_ids(size)
        self._level = 0
        self._below = b""
        self._roots = bytearray()
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
                "by level, then index; if it isn't stored, build the tiles anew from the log."
            )
        if tile.level != self._level:
            self._level, self._below, self._roots = tile.level, bytes(self._roots), bytearray()
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
        start = tile.start * HASH_BYTES
        computed = self._below[start : start + len(tile.hashes)]
        if computed == tile.hashes:
            return
        pairs = zip(split_hashes(computed), split_hashes(tile.hashes), strict=True)
        offset = next(at for at, (below, here) in enumerate(pairs) if below != here)
        child = TileId(tile.level - 1, tile.start + offset)
        raise TilesDisagreeError(
            f"Hash {offset} of tile {tile.id} is not the root of tile {child}: one of the two "
            "was changed. Compare both with tiles computed anew from the log."
        )

    def _climb(self, tile: Tile) -> None:
        hashes = split_hashes(tile.hashes)
        if len(tile.hashes) == TILE_BYTES:
            self._roots += root_of(hashes)
            return
        edge = Frontier()
        edge.extend(hashes)
        self._peaks = edge.to_bytes() + self._peaks
