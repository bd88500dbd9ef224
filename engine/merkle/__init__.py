"""The Merkle tree over a shard's log: entry n of the log is leaf n (RFC 6962, SHA-256)."""

from engine.merkle.audit import TileCheck, depth_first
from engine.merkle.errors import (
    EdgeLengthError,
    HashLengthError,
    MerkleError,
    OutsideTreeError,
    TileMissingError,
    TilesDisagreeError,
    TileTooNarrowError,
)
from engine.merkle.proofs import (
    consistency_proof,
    inclusion_proof,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from engine.merkle.tiler import Tiler
from engine.merkle.tiles import (
    TILE_WIDTH,
    ReadNode,
    Tile,
    TileId,
    edge_tiles,
    node_reader,
    tile_ids,
    tiles_read_by,
)
from engine.merkle.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    Frontier,
    leaf_hash,
    leaf_hashes,
    node_hash,
    root_of,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "TILE_WIDTH",
    "EdgeLengthError",
    "Frontier",
    "HashLengthError",
    "MerkleError",
    "OutsideTreeError",
    "ReadNode",
    "Tile",
    "TileCheck",
    "TileId",
    "TileMissingError",
    "TileTooNarrowError",
    "Tiler",
    "TilesDisagreeError",
    "consistency_proof",
    "depth_first",
    "edge_tiles",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "node_reader",
    "root_of",
    "tile_ids",
    "tiles_read_by",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]
