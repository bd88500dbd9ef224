"""The right edge of an RFC 6962 tree, one leaf at a time: what a shard's row has to hold."""

from hashlib import sha256


class MerkleEdge:
    """Roots of the perfect subtrees of the leaves so far, the largest first."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, entry: bytes) -> None:
        width, top = 1, sha256(b"\x00" + entry).digest()
        while self._peaks and self._peaks[-1][0] == width:
            _, left = self._peaks.pop()
            width, top = 2 * width, sha256(b"\x01" + left + top).digest()
        self._peaks.append((width, top))

    def to_bytes(self) -> bytes:
        """As the column `tree` has it."""
        return b"".join(peak for _, peak in self._peaks)
