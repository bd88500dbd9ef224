"""Hashes of RFC 6962, and the right edge of a tree that only grows."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Self

from engine.merkle.errors import EdgeLengthError

HASH_BYTES = 32
PEAKS_MAX = 64
EMPTY_ROOT = sha256(b"").digest()

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def leaf_hash(data: bytes) -> bytes:
    return sha256(LEAF_PREFIX + data).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each entry, in order; quicker than one call per entry."""
    new, prefix = sha256, LEAF_PREFIX
    return [new(prefix + data).digest() for data in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE_PREFIX + left + right).digest()


class Frontier:
    """The right edge of a tree: all that is needed to append leaves and to know the root.

    It holds the roots ("peaks") of the perfect subtrees that `size` decomposes into, one for
    each bit set in `size`, largest and leftmost first: at most 64 hashes of 32 bytes.
    """

    __slots__ = ("_peaks", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Self:
        """The frontier of `size` leaves that `to_bytes` wrote.

        Raises EdgeLengthError when `data` is not 32 bytes for each bit set in `size`.
        """
        if not 0 <= size < 1 << PEAKS_MAX:
            raise EdgeLengthError(f"A tree has 0 to 2^{PEAKS_MAX} - 1 leaves, not {size}.")
        expected = size.bit_count() * HASH_BYTES
        if len(data) != expected:
            raise EdgeLengthError(
                f"The right edge of {size} leaves is {expected} bytes, not {len(data)}: "
                "the stored size and the stored edge don't belong together. "
                "Compute the edge anew from the log."
            )
        frontier = cls()
        frontier._size = size
        frontier._peaks = [
            bytes(data[start : start + HASH_BYTES]) for start in range(0, expected, HASH_BYTES)
        ]
        return frontier

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def to_bytes(self) -> bytes:
        """The peaks, 32 bytes each, largest first; empty for an empty tree."""
        return b"".join(self._peaks)

    def copy(self) -> Self:
        return self.from_bytes(self._size, self.to_bytes())

    def root(self) -> bytes:
        """The RFC 6962 root of the leaves so far; `EMPTY_ROOT` without any."""
        if not self._peaks:
            return EMPTY_ROOT
        *rest, root = self._peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Appends leaves, given as their `leaf_hash`, in order.

        Hashes level by level instead of leaf by leaf: the whole batch shares one tight loop.
        """
        new, prefix = sha256, NODE_PREFIX
        nodes = list(leaf_hashes)
        added = len(nodes)
        peaks, risen, bits = self._peaks, [], self._size
        while nodes:
            if bits & 1:
                nodes.insert(0, peaks.pop())
            if len(nodes) & 1:
                risen.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [
                new(prefix + left + right).digest()
                for left, right in zip(pairs, pairs, strict=True)
            ]
            bits >>= 1
        peaks.extend(reversed(risen))
        self._size += added


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of a tree of just these leaves."""
    frontier = Frontier()
    frontier.extend(leaf_hashes)
    return frontier.root()
