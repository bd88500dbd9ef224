import pytest

from engine.merkle import (
    EMPTY_ROOT,
    OutsideTreeError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.merkle_oracle import CT_LEAVES, Oracle, numbered

PAIRS_UP_TO = 66

CT_INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


@pytest.fixture(scope="module")
def oracle():
    return numbered(70_000)


@pytest.fixture(scope="module")
def ct():
    return Oracle(CT_LEAVES)


def proof_variants(proof):
    """Proofs that are not this one: a hash changed, dropped, added, swapped or cut short."""
    for at, sibling in enumerate(proof):
        yield [*proof[:at], bytes(byte ^ 1 for byte in sibling), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], sibling[:-1], *proof[at + 1 :]]
        yield [*proof[:at], sibling, *proof[at:]]
    yield [*proof, bytes(32)]
    yield [bytes(32), *proof]
    if len(proof) > 1:
        yield proof[::-1]


@pytest.mark.parametrize(("index", "size", "proof"), CT_INCLUSION)
def test_published_inclusion_proofs(ct, index, size, proof):
    expected = [bytes.fromhex(sibling) for sibling in proof]
    assert inclusion_proof(index, size, ct.node) == expected
    leaf = leaf_hash(CT_LEAVES[index])
    assert verify_inclusion(leaf, index, size, expected, ct.root(0, size))


@pytest.mark.parametrize(("old", "new", "proof"), CT_CONSISTENCY)
def test_published_consistency_proofs(ct, old, new, proof):
    expected = [bytes.fromhex(sibling) for sibling in proof]
    assert consistency_proof(old, new, ct.node) == expected
    assert verify_consistency(old, new, ct.root(0, old), ct.root(0, new), expected)


def test_the_root_at_any_size_from_nodes(oracle):
    for size in [*range(300), 65_535, 65_536, 65_537, 70_000]:
        assert tree_root(size, oracle.node) == oracle.root(0, size), size


@pytest.mark.parametrize("size", range(1, PAIRS_UP_TO))
def test_inclusion_of_every_leaf(oracle, size):
    root = oracle.root(0, size)
    for index in range(size):
        proof = inclusion_proof(index, size, oracle.node)
        assert proof == oracle.path(index, 0, size)
        assert verify_inclusion(oracle.leaf(index), index, size, proof, root)


@pytest.mark.parametrize("new", range(1, PAIRS_UP_TO))
def test_consistency_of_every_pair_of_sizes(oracle, new):
    for old in range(1, new + 1):
        proof = consistency_proof(old, new, oracle.node)
        assert proof == oracle.proof(old, new)
        assert verify_consistency(old, new, oracle.root(0, old), oracle.root(0, new), proof)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 70_000])
def test_proofs_in_a_large_tree(oracle, size):
    root = oracle.root(0, size)
    for at in (0, 1, 255, 256, 32_767, 32_768, 65_533, size - 2, size - 1):
        path = inclusion_proof(at, size, oracle.node)
        assert path == oracle.path(at, 0, size)
        assert verify_inclusion(oracle.leaf(at), at, size, path, root)
        proof = consistency_proof(at + 1, size, oracle.node)
        assert proof == oracle.proof(at + 1, size)
        assert verify_consistency(at + 1, size, oracle.root(0, at + 1), root, proof)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13, 16, 31])
def test_a_false_inclusion_proof_is_refused(oracle, size):
    root = oracle.root(0, size)
    for index in range(size):
        leaf, proof = oracle.leaf(index), oracle.path(index, 0, size)
        for variant in proof_variants(proof):
            assert not verify_inclusion(leaf, index, size, variant, root)
        for other in {*range(-1, size + 2)} - {index}:
            assert not verify_inclusion(leaf, other, size, proof, root)
        assert not verify_inclusion(oracle.leaf(size), index, size, proof, root)
        assert not verify_inclusion(leaf, index, size, proof, oracle.root(0, size + 1))


@pytest.mark.parametrize("new", [1, 2, 3, 4, 5, 7, 8, 13, 16, 31])
def test_a_false_consistency_proof_is_refused(oracle, new):
    new_root, stranger = oracle.root(0, new), oracle.root(1, new + 2)
    for old in range(1, new + 1):
        old_root, proof = oracle.root(0, old), oracle.proof(old, new)
        for variant in proof_variants(proof):
            assert not verify_consistency(old, new, old_root, new_root, variant), (old, variant)
        assert not verify_consistency(old, new, stranger, new_root, proof)
        assert not verify_consistency(old, new, old_root, stranger, proof)
        assert not verify_consistency(new + 1, old, new_root, old_root, proof)


def test_a_proof_of_another_shape_is_refused_even_if_it_leads_to_the_root(oracle):
    leaf, extra = oracle.leaf(0), bytes(32)
    assert not verify_inclusion(leaf, 0, 1, [extra], node_hash(extra, leaf))
    assert not verify_inclusion(leaf, 0, 2, [], leaf)

    old, new, proof = oracle.root(0, 3), oracle.root(0, 4), oracle.proof(3, 4)
    longer = node_hash(extra, old), node_hash(extra, new)
    assert not verify_consistency(3, 4, *longer, [*proof, extra])
    shorter = oracle.leaf(2), oracle.root(2, 4)
    assert not verify_consistency(3, 4, *shorter, proof[:-1])


def test_hashes_of_another_length_are_refused_even_if_their_bytes_line_up(oracle):
    left, right, root = oracle.leaf(0), oracle.leaf(1), oracle.root(0, 2)
    assert not verify_inclusion(left[-1:] + right, 1, 2, [left[:-1]], root)
    assert not verify_consistency(1, 2, left + right[:1], root, [right[1:]])


@pytest.mark.parametrize("old", range(1, 9))
def test_growth_is_not_consistent_without_a_proof(oracle, old):
    assert not verify_consistency(old, 9, oracle.root(0, old), oracle.root(0, 9), [])


def test_consistency_with_the_empty_tree(oracle):
    root = oracle.root(0, 5)
    assert consistency_proof(0, 5, oracle.node) == []
    assert verify_consistency(0, 5, EMPTY_ROOT, root, [])
    assert verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert not verify_consistency(0, 5, root, root, [])
    assert not verify_consistency(0, 5, EMPTY_ROOT, root, [root])
    assert not verify_consistency(-1, 5, EMPTY_ROOT, root, [])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_no_inclusion_proof_for_a_leaf_outside_the_tree(oracle, index, size):
    with pytest.raises(OutsideTreeError, match=f"{size} leaves has no leaf {index}:"):
        inclusion_proof(index, size, oracle.node)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_no_consistency_proof_for_a_tree_that_shrinks(oracle, old, new):
    with pytest.raises(OutsideTreeError, match=f"{old} leaves can't grow to {new}:"):
        consistency_proof(old, new, oracle.node)
