"""Are the log, the stored tiles and the right edge in the shard's row one and the same tree?

The tiles are believed where they lead to the root in the row: they then name the first entry
that isn't what it was.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final, Self

from asyncpg import Connection, Record
from msgspec import Struct
from msgspec.structs import replace

from engine.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    EdgeLengthError,
    Frontier,
    MerkleError,
    Tile,
    TileCheck,
    depth_first,
    leaf_hashes,
)
from projections.log_tree import read_tiles, tiled_size
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard
from projections.verification.queries import QUERIES

_TILES_PAGE: Final = 257


class Edge(Struct, frozen=True):
    """A frontier, as it is kept."""

    size: int
    peaks: bytes

    @classmethod
    def of(cls, frontier: Frontier) -> Self:
        return cls(frontier.size, frontier.to_bytes())

    def frontier(self) -> Frontier:
        return Frontier.from_bytes(self.size, self.peaks)


class Climb(Struct, kw_only=True):
    """Where the check of a tree stands. `roots` are those of the log at sizes that were asked for."""

    log: Edge = Edge(0, b"")
    roots: dict[int, bytes] = {}
    tiled_size: int = 0
    tiled: Edge | None = None
    tile_error: str | None = None
    first_differing: int | None = None
    awaited: int = 0
    first_gap: int | None = None


class TreeCheck:
    """Takes the pages of one shard's log in order; `finish` says what they come to.

    `sizes`: those at which the log's root is wanted, in `roots`.
    """

    def __init__(
        self,
        findings: Findings,
        frozen: FrozenShard,
        sizes: Collection[int] = (),
        at: Climb | None = None,
    ) -> None:
        self._at = at or Climb()
        self._findings = findings
        self._frozen = frozen
        self._shard = frozen.shard
        self._sizes = sorted(sizes)
        self._log = self._at.log.frontier()
        self._tiled = None if self._at.tiled is None else self._at.tiled.frontier()
        self._note_root()

    @property
    def at(self) -> Climb:
        """What to go on from."""
        tiled = None if self._tiled is None else Edge.of(self._tiled)
        return replace(self._at, log=Edge.of(self._log), tiled=tiled)

    @property
    def roots(self) -> Mapping[int, bytes]:
        """The log's at those of the wanted sizes that it has reached."""
        return self._at.roots

    async def read_tiles(self, connection: Connection) -> None:
        """Are the tiles a tree by themselves? To be called before the first page."""
        self._at.tiled_size = min(await tiled_size(connection, self._shard), self._frozen.size)
        if not self._at.tiled_size:
            return
        check = TileCheck(self._at.tiled_size)
        wanted = depth_first(self._at.tiled_size)
        try:
            while ids := list(islice(wanted, _TILES_PAGE)):
                stored = await read_tiles(connection, self._shard, ids)
                for id_ in ids:
                    if id_ in stored:
                        check.add(Tile(id_.level, id_.index, stored[id_]))
            self._tiled = check.finish()
        except MerkleError as error:
            self._at.tile_error = str(error)

    async def page(self, connection: Connection, rows: list[Record]) -> None:
        """Compares a page of the log with the tiles of its range."""
        hashes = leaf_hashes([row["data"] for row in rows])
        self._extend(hashes)
        positions = [row["position"] for row in rows]
        first, last = positions[0], positions[-1]
        tiles = await self._leaf_tiles(connection, first, last)
        if not self._follows(positions) or not self._tiled_alike(tiles, first, hashes):
            self._look_closer(tiles, positions, hashes)
        self._at.awaited = last + 1
        if self._tiled is not None and last >= self._at.tiled_size:
            pairs = zip(positions, hashes, strict=True)
            self._tiled.extend(leaf for at, leaf in pairs if at >= self._at.tiled_size)

    def _follows(self, positions: list[int]) -> bool:
        return positions == list(range(self._at.awaited, self._at.awaited + len(positions)))

    def _tiled_alike(self, tiles: Mapping[int, bytes], first: int, hashes: list[bytes]) -> bool:
        """Of positions without a gap: do the tiles, as far as they reach, have the same hashes?"""
        reached = hashes[: max(0, self._at.tiled_size - first)]
        index, place = divmod(first, TILE_WIDTH)
        wanted = range(index, index + -(-(place + len(reached)) // TILE_WIDTH))
        stored = b"".join(tiles.get(each, b"") for each in wanted)
        start = place * HASH_BYTES
        return b"".join(reached) == stored[start : start + len(reached) * HASH_BYTES]

    def _look_closer(
        self, tiles: Mapping[int, bytes], positions: list[int], hashes: list[bytes]
    ) -> None:
        """Which is the first gap, and which the first hash that the tiles have otherwise?"""
        for position, leaf in zip(positions, hashes, strict=True):
            if position != self._at.awaited and self._at.first_gap is None:
                self._at.first_gap = min(position, self._at.awaited)
            self._at.awaited = position + 1
            if position < self._at.tiled_size and self._at.first_differing is None:
                index, place = divmod(position, TILE_WIDTH)
                stored = tiles.get(index, b"")[place * HASH_BYTES : (place + 1) * HASH_BYTES]
                if stored != leaf:
                    self._at.first_differing = position

    def _extend(self, hashes: list[bytes]) -> None:
        size, done = self._log.size, 0
        for stop in self._sizes:
            if size < stop <= size + len(hashes):
                self._log.extend(hashes[done : stop - size])
                done = stop - size
                self._note_root()
        self._log.extend(hashes[done:])

    def _note_root(self) -> None:
        if self._log.size in self._sizes:
            self._at.roots[self._log.size] = self._log.root()

    async def _leaf_tiles(self, connection: Connection, first: int, last: int) -> dict[int, bytes]:
        rows = await connection.fetch(
            QUERIES["leaf_tiles"], self._shard, first // TILE_WIDTH, last // TILE_WIDTH
        )
        return {row["index"]: row["hashes"] for row in rows}

    def finish(self) -> bytes:
        """Reports what differs, with the first wrong position; gives the root of the log."""
        self._findings.checked("root")
        self._findings.checked("tiles", self._at.tiled_size)
        root = self._log.root()
        edge = self._edge()
        if edge is not None and edge.root() != root:
            self._report_root(edge)
        if self._at.tile_error is not None:
            self._findings.report("tiles", self._at.tile_error, shard=self._shard)
        elif self._at.first_differing is not None and edge is not None and edge.root() == root:
            self._report_tile(self._at.first_differing)
        if self._at.tiled_size < self._frozen.size:
            self._findings.note(
                "tiles",
                f"shard {self._shard}: {self._at.tiled_size} of {self._frozen.size} entries are "
                "in tiles so far",
            )
        return root

    def _edge(self) -> Frontier | None:
        try:
            return Frontier.from_bytes(self._frozen.size, self._frozen.tree)
        except EdgeLengthError as error:
            self._findings.report("root", str(error), shard=self._shard)
            return None

    def _report_root(self, edge: Frontier) -> None:
        named = [
            place for place in (self._at.first_differing, self._at.first_gap) if place is not None
        ]
        differ = f"the log's root is {self._log.root().hex()}, the row's {edge.root().hex()}"
        tiled = None if self._tiled is None or not self._at.tiled_size else self._tiled.root()
        if not named:
            position, how = self._without_tiles(edge, tiled)
        elif tiled == edge.root():
            position, how = (
                min(named),
                "the tiles, which lead to the row's, part from the log here",
            )
        else:
            position, how = (
                min(named),
                "the first that is missing or that the tiles have otherwise",
            )
        self._findings.report("root", f"{differ}: {how}", shard=self._shard, position=position)

    def _without_tiles(self, edge: Frontier, tiled: bytes | None) -> tuple[int | None, str]:
        if tiled == self._log.root() and self._at.tiled_size == edge.size:
            return None, "the tiles agree with the log, so it is the row that was changed"
        if self._log.size != edge.size:
            return min(self._log.size, edge.size), "an entry is missing or was added"
        # only the perfect subtrees of the edge are left to tell where the two part ways
        first, last = _first_differing_peak(edge, self._log)
        return None, f"they part at one of the positions {first} to {last}"

    def _report_tile(self, position: int) -> None:
        index, place = divmod(position, TILE_WIDTH)
        self._findings.report(
            "tiles",
            f"hash {place} of tile 0/{index} is not that of the entry, though the log's root "
            "is the one in the row: the tile was changed",
            shard=self._shard,
            position=position,
        )


def _first_differing_peak(edge: Frontier, log: Frontier) -> tuple[int, int]:
    size, start = edge.size, 0
    widths = [1 << bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
    expected, actual = edge.to_bytes(), log.to_bytes()
    for place, width in enumerate(widths):
        peak = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
        if expected[peak] != actual[peak]:
            return start, start + width - 1
        start += width
    raise AssertionError("two edges of one size and other roots have no differing peak")
