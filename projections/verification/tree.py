"""Are the log, the stored tiles and the right edge in the shard's row one and the same tree?

The tiles are believed where they lead to the root in the row: they then name the first entry
that isn't what it was.
"""

from typing import Final

from asyncpg import Connection, Record

from engine.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    EdgeLengthError,
    Frontier,
    MerkleError,
    Tile,
    TileCheck,
    leaf_hashes,
)
from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard
from projections.verification.queries import QUERIES

_TILES_PAGE: Final = 200


class TreeCheck:
    """Takes the pages of one shard's log in order; `finish` says what they come to."""

    def __init__(self, findings: Findings, frozen: FrozenShard) -> None:
        self._findings = findings
        self._frozen = frozen
        self._shard = frozen.shard
        self._log = Frontier()
        self._tiled_size = 0
        self._tiled: Frontier | None = None
        self._tile_error: str | None = None
        self._first_differing: int | None = None
        self._awaited = 0
        self._first_gap: int | None = None

    async def read_tiles(self, connection: Connection) -> None:
        """Are the tiles a tree by themselves? To be called before the first page."""
        last = await connection.fetchrow(QUERIES["tiled"], self._shard)
        if last is None:
            return
        leaves = last["index"] * TILE_WIDTH + last["bytes"] // HASH_BYTES
        self._tiled_size = min(leaves, self._frozen.size)
        check = TileCheck(self._tiled_size)
        level, index = 0, -1
        try:
            while page := await connection.fetch(
                QUERIES["tiles"], self._shard, level, index, _TILES_PAGE
            ):
                for row in page:
                    check.add(Tile(row["level"], row["index"], row["hashes"]))
                level, index = page[-1]["level"], page[-1]["index"]
            self._tiled = check.finish()
        except MerkleError as error:
            self._tile_error = str(error)

    async def page(self, connection: Connection, rows: list[Record]) -> None:
        """Compares a page of the log with the tiles of its range."""
        hashes = leaf_hashes([row["data"] for row in rows])
        self._log.extend(hashes)
        first, last = rows[0]["position"], rows[-1]["position"]
        tiles = await self._leaf_tiles(connection, first, last)
        for row, leaf in zip(rows, hashes, strict=True):
            position = row["position"]
            if position != self._awaited and self._first_gap is None:
                self._first_gap = min(position, self._awaited)
            self._awaited = position + 1
            if position < self._tiled_size and self._first_differing is None:
                index, place = divmod(position, TILE_WIDTH)
                stored = tiles.get(index, b"")[place * HASH_BYTES : (place + 1) * HASH_BYTES]
                if stored != leaf:
                    self._first_differing = position
        if self._tiled is not None and last >= self._tiled_size:
            pairs = zip(rows, hashes, strict=True)
            self._tiled.extend(leaf for row, leaf in pairs if row["position"] >= self._tiled_size)

    async def _leaf_tiles(self, connection: Connection, first: int, last: int) -> dict[int, bytes]:
        rows = await connection.fetch(
            QUERIES["leaf_tiles"], self._shard, first // TILE_WIDTH, last // TILE_WIDTH
        )
        return {row["index"]: row["hashes"] for row in rows}

    def finish(self) -> bytes:
        """Reports what differs, with the first wrong position; gives the root of the log."""
        self._findings.checked("root")
        self._findings.checked("tiles", self._tiled_size)
        root = self._log.root()
        edge = self._edge()
        if edge is not None and edge.root() != root:
            self._report_root(edge)
        if self._tile_error is not None:
            self._findings.report("tiles", self._tile_error, shard=self._shard)
        elif self._first_differing is not None and edge is not None and edge.root() == root:
            self._report_tile(self._first_differing)
        if self._tiled_size < self._frozen.size:
            self._findings.note(
                "tiles",
                f"shard {self._shard}: {self._tiled_size} of {self._frozen.size} entries are "
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
        named = [place for place in (self._first_differing, self._first_gap) if place is not None]
        differ = f"the log's root is {self._log.root().hex()}, the row's {edge.root().hex()}"
        tiled = None if self._tiled is None or not self._tiled_size else self._tiled.root()
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
        if tiled == self._log.root() and self._tiled_size == edge.size:
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
