from hashlib import sha256
from random import Random

import pytest

from engine.merkle import (
    EMPTY_ROOT,
    EdgeLengthError,
    Frontier,
    leaf_hash,
    leaf_hashes,
    node_hash,
    root_of,
)
from tests.merkle_oracle import CT_LEAVES, numbered

CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = range(1_001)


@pytest.fixture(scope="module")
def oracle():
    return numbered(SIZES.stop)


def test_hashes_are_prefixed_so_that_no_leaf_passes_for_a_node():
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert left == sha256(b"\x00left").digest()
    assert node_hash(left, right) == sha256(b"\x01" + left + right).digest()
    assert leaf_hashes([b"left", b"right"]) == [left, right]
    assert leaf_hash(left + right) != node_hash(left, right)


@pytest.mark.parametrize("size", range(9))
def test_roots_published_with_certificate_transparency(size):
    assert root_of(leaf_hashes(CT_LEAVES[:size])).hex() == CT_ROOTS[size]


def test_root_at_every_size_built_at_once(oracle):
    leaves = oracle.leaves(0, SIZES.stop)
    for size in SIZES:
        assert root_of(leaves[:size]) == oracle.root(0, size), size


def test_root_at_every_size_built_one_by_one(oracle):
    frontier = Frontier()
    for size in SIZES:
        assert frontier.size == size
        assert frontier.root() == oracle.root(0, size), size
        frontier.extend([oracle.leaf(size)])


@pytest.mark.parametrize("seed", range(20))
def test_root_built_in_random_batches(oracle, seed):
    random = Random(seed)
    frontier = Frontier()
    while frontier.size < SIZES.stop:
        end = min(frontier.size + random.choice([0, 1, 2, 3, 17, 128, 300]), SIZES.stop)
        frontier.extend(iter(oracle.leaves(frontier.size, end)))
        assert frontier.size == end
        assert frontier.root() == oracle.root(0, end), end


def test_root_across_a_restart_at_every_size(oracle):
    frontier = Frontier()
    for size in SIZES:
        stored = frontier.to_bytes()
        assert len(stored) == 32 * size.bit_count()
        frontier = Frontier.from_bytes(size, stored)
        assert frontier.to_bytes() == stored
        assert frontier.root() == oracle.root(0, size), size
        frontier.extend([oracle.leaf(size)])


def test_peaks_stand_from_the_largest_subtree_to_the_smallest(oracle):
    frontier = Frontier()
    frontier.extend(oracle.leaves(0, 7))
    peaks = oracle.root(0, 4) + oracle.root(4, 6) + oracle.root(6, 7)
    assert frontier.to_bytes() == peaks


def test_a_copy_goes_its_own_way(oracle):
    frontier = Frontier()
    frontier.extend(oracle.leaves(0, 7))
    twin = frontier.copy()
    twin.extend(oracle.leaves(7, 12))
    assert (frontier.size, frontier.root()) == (7, oracle.root(0, 7))
    assert (twin.size, twin.root()) == (12, oracle.root(0, 12))


def test_a_batch_that_fails_half_way_leaves_the_frontier_as_it_was(oracle):
    def broken():
        yield oracle.leaf(7)
        raise ConnectionError

    frontier = Frontier()
    frontier.extend(oracle.leaves(0, 7))
    with pytest.raises(ConnectionError):
        frontier.extend(broken())
    assert (frontier.size, frontier.root()) == (7, oracle.root(0, 7))


def test_an_empty_tree():
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()
    assert Frontier().to_bytes() == b""
    assert Frontier.from_bytes(0, b"").root() == EMPTY_ROOT


@pytest.mark.parametrize(
    ("size", "length"), [(0, 32), (1, 0), (1, 31), (1, 33), (1, 64), (7, 64), (8, 96)]
)
def test_an_edge_of_the_wrong_length_is_refused(size, length):
    with pytest.raises(EdgeLengthError, match=f"not {length}: .*anew from the log"):
        Frontier.from_bytes(size, bytes(length))


@pytest.mark.parametrize("size", [-1, 1 << 64])
def test_a_size_that_no_tree_has_is_refused(size):
    with pytest.raises(EdgeLengthError, match=r"0 to 2\^64 - 1 leaves"):
        Frontier.from_bytes(size, bytes(32))


def test_the_largest_edge_is_64_hashes():
    data = bytes(range(256)) * 8
    assert Frontier.from_bytes((1 << 64) - 1, data).to_bytes() == data
