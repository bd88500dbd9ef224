"""RFC 6962, section 2.1, as the text defines it: recursive, slow, and plain."""

from functools import cache
from hashlib import sha256

# Published with Certificate Transparency: eight leaves, whose roots and proofs are known.
CT_LEAVES = [
    bytes.fromhex(data)
    for data in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]


class Oracle:
    def __init__(self, entries):
        self.entries = entries
        self.root = cache(self._root)

    def leaf(self, index):
        return sha256(b"\x00" + self.entries[index]).digest()

    def leaves(self, start, end):
        return [self.leaf(index) for index in range(start, end)]

    def _root(self, start, end):
        """MTH(D[start:end])"""
        if end == start:
            return sha256(b"").digest()
        if end - start == 1:
            return self.leaf(start)
        middle = start + largest_power_below(end - start)
        return sha256(b"\x01" + self.root(start, middle) + self.root(middle, end)).digest()

    def path(self, index, start, end):
        """PATH(m, D[start:end]), m counted from `start`"""
        if end - start == 1:
            return []
        width = largest_power_below(end - start)
        middle = start + width
        if index < width:
            return [*self.path(index, start, middle), self.root(middle, end)]
        return [*self.path(index - width, middle, end), self.root(start, middle)]

    def proof(self, old, new):
        """PROOF(m, D[0:new])"""
        return self._subproof(old, 0, new, whole=True)

    def _subproof(self, old, start, end, *, whole):
        if old == end - start:
            return [] if whole else [self.root(start, end)]
        width = largest_power_below(end - start)
        middle = start + width
        if old <= width:
            return [*self._subproof(old, start, middle, whole=whole), self.root(middle, end)]
        rest = self._subproof(old - width, middle, end, whole=False)
        return [*rest, self.root(start, middle)]

    def node(self, level, index):
        return self.root(index << level, (index + 1) << level)

    def tiles(self, size):
        """Every tile of the first `size` entries: {(level, index): hashes}"""
        tiles = {}
        level = 0
        while size >> (8 * level):
            nodes = [self.node(8 * level, n) for n in range(size >> (8 * level))]
            for index, start in enumerate(range(0, len(nodes), 256)):
                tiles[level, index] = b"".join(nodes[start : start + 256])
            level += 1
        return tiles


def largest_power_below(number):
    power = 1
    while power * 2 < number:
        power *= 2
    return power


def numbered(size):
    return Oracle([f"entry {number}".encode() for number in range(size)])
