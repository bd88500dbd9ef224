"""Proofs of RFC 6962 (verified as in RFC 9162, sections 2.1.3 and 2.1.4).

An inclusion proof shows that an entry is in the tree of a root, a consistency proof that a later
tree only added to an earlier one. Both are lists of 32-byte hashes, lowest level first.
"""

from collections.abc import Sequence

from engine.merkle.errors import OutsideTreeError
from engine.merkle.tiles import ReadNode
from engine.merkle.tree import EMPTY_ROOT, HASH_BYTES, node_hash


def tree_root(size: int, node: ReadNode) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: ReadNode) -> list[bytes]:
    """Proof that leaf `index` is in the tree of the first `size` leaves."""
    if not 0 <= index < size:
        raise OutsideTreeError(
            f"A tree of {size} leaves has no leaf {index}: ask for a size above the index."
        )
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_width(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, new_size: int, node: ReadNode) -> list[bytes]:
    """Proof that the first `old_size` leaves of the tree of `new_size` are the older tree.

    Empty when there is nothing to show: the old tree is empty or the sizes are equal.
    """
    if not 0 <= old_size <= new_size:
        raise OutsideTreeError(
            f"A tree of {old_size} leaves can't grow to {new_size}: pass the smaller size first."
        )
    if old_size == 0:
        return []
    path = []
    start, end = 0, new_size
    while end != old_size:
        middle = start + _left_width(end - start)
        if old_size <= middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    # What is left is the whole old tree only if nothing was split off to its left; its root is
    # then what the verifier has already.
    if start > 0:
        path.append(_range_root(start, end, node))
    return path[::-1]


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` leads from leaf `index` to `root` in a tree of `size` leaves."""
    if not 0 <= index < size or not _all_hashes(proof):
        return False
    node, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree of `old_root` is the beginning of that of `new_root`."""
    if not 0 <= old_size <= new_size or not _all_hashes(proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    # A power of two is a perfect subtree, whose root the proof leaves out.
    hashes = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    return bool(hashes) and _climb(old_size, new_size, hashes) == (old_root, new_root)


def _climb(old_size: int, new_size: int, hashes: list[bytes]) -> tuple[bytes, bytes] | None:
    """The old and the new root that a consistency proof comes to; None if it is malformed."""
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _all_hashes(proof: Sequence[bytes]) -> bool:
    return all(len(sibling) == HASH_BYTES for sibling in proof)


def _left_width(width: int) -> int:
    """The largest power of two below `width`: how many leaves go to the left."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(start: int, end: int, node: ReadNode) -> bytes:
    """The root over leaves `start` to `end`, a subtree of the tree: perfect ones, folded."""
    peaks = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(node(level, start >> level))
        start += 1 << level
    *rest, root = peaks
    for peak in reversed(rest):
        root = node_hash(peak, root)
    return root
