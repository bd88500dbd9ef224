"""What can be wrong with a stored tree.

MerkleError
├── EdgeLengthError      the stored right edge doesn't fit the size
├── HashLengthError      a hash is not 32 bytes
├── OutsideTreeError     a proof for a leaf or a size that the tree doesn't have
├── TileMissingError     a tile that the size calls for isn't there
├── TileTooNarrowError   a tile holds fewer hashes than the size calls for
└── TilesDisagreeError   a tile isn't what the tiles below it come to
"""

from engine.errors import EngineError


class MerkleError(EngineError):
    code = "merkle_error"


class EdgeLengthError(MerkleError):
    code = "merkle_edge_length_wrong"


class HashLengthError(MerkleError):
    code = "merkle_hash_length_wrong"


class OutsideTreeError(MerkleError):
    code = "merkle_outside_tree"


class TileMissingError(MerkleError):
    code = "merkle_tile_missing"


class TileTooNarrowError(MerkleError):
    code = "merkle_tile_too_narrow"


class TilesDisagreeError(MerkleError):
    code = "merkle_tiles_disagree"
