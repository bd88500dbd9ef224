from random import Random

import pytest

from engine.merkle import (
    HashLengthError,
    Tile,
    TileId,
    TileMissingError,
    Tiler,
    TileTooNarrowError,
    edge_tiles,
    inclusion_proof,
    node_reader,
    tile_ids,
    tiles_read_by,
)
from tests.merkle_oracle import numbered

LARGE = 66_000


@pytest.fixture(scope="module")
def oracle():
    return numbered(LARGE)


def store(tiles, changed):
    for tile in changed:
        tiles[tile.level, tile.index] = tile.hashes


def stored(tiles):
    return [Tile(level, index, hashes) for (level, index), hashes in tiles.items()]


@pytest.mark.parametrize(
    "size",
    [
        *(0, 1, 2, 255, 256, 257, 511, 512, 513, 1_000),
        *(65_279, 65_280, 65_281, 65_535, 65_536, 65_537, 65_791, 65_792, 65_793),
    ],
)
def test_tiles_of_a_tree_built_at_once(oracle, size):
    tiler = Tiler()
    tiler.add(oracle.leaves(0, size))
    changed = tiler.take_changed()
    assert {(tile.level, tile.index): tile.hashes for tile in changed} == oracle.tiles(size)
    assert [tile.id for tile in changed] == list(tile_ids(size))
    assert tiler.size == size


@pytest.mark.parametrize("seed", range(3))
def test_tiles_of_a_tree_built_in_random_batches_with_restarts(oracle, seed):
    random = Random(seed)
    tiler, tiles = Tiler(), {}
    while tiler.size < LARGE:
        end = min(tiler.size + random.choice([1, 255, 256, 257, 2_000, 9_000]), LARGE)
        tiler.add(oracle.leaves(tiler.size, end))
        if random.random() < 0.6:
            store(tiles, tiler.take_changed())
            if random.random() < 0.5:
                tiler = Tiler(tiler.size, stored(tiles))
    store(tiles, tiler.take_changed())
    assert tiles == oracle.tiles(LARGE)


def test_resuming_at_every_size(oracle):
    tiles, tiler = {}, Tiler()
    for size in range(601):
        resumed = Tiler(size, stored(tiles))
        ahead = dict(tiles)
        resumed.add(oracle.leaves(size, size + 300))
        store(ahead, resumed.take_changed())
        assert ahead == oracle.tiles(size + 300), size

        tiler.add([oracle.leaf(size)])
        store(tiles, tiler.take_changed())
        assert tiles == oracle.tiles(size + 1), size


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537])
def test_resuming_around_a_new_level(oracle, size):
    tiles = oracle.tiles(size)
    tiler = Tiler(size, stored(tiles))
    tiler.add(oracle.leaves(size, size + 2))
    store(tiles, tiler.take_changed())
    assert tiles == oracle.tiles(size + 2)


def test_resuming_from_tiles_that_were_stored_for_a_larger_tree(oracle):
    tiles = oracle.tiles(700)
    tiler = Tiler(300, stored(tiles))
    tiler.add(oracle.leaves(300, 1_100))
    store(tiles, tiler.take_changed())
    assert tiles == oracle.tiles(1_100)


def test_only_what_changed_is_handed_out(oracle):
    tiler = Tiler()
    tiler.add(oracle.leaves(0, 600))
    tiler.take_changed()
    assert tiler.take_changed() == []
    tiler.add([])
    assert tiler.take_changed() == []
    tiler.add(oracle.leaves(600, 610))
    assert [(tile.id, tile.width) for tile in tiler.take_changed()] == [(TileId(0, 2), 98)]
    tiler.add(oracle.leaves(610, 769))
    assert [(tile.id, tile.width) for tile in tiler.take_changed()] == [
        (TileId(0, 2), 256),
        (TileId(0, 3), 1),
        (TileId(1, 0), 3),
    ]


def test_a_resumed_tiler_hands_out_nothing_before_it_is_fed(oracle):
    assert Tiler(600, stored(oracle.tiles(600))).take_changed() == []


@pytest.mark.parametrize("absent", [(0, 2), (1, 0)])
def test_resuming_without_a_tile_is_refused(oracle, absent):
    tiles = oracle.tiles(600)
    del tiles[absent]
    with pytest.raises(TileMissingError, match=f"{absent[0]}/{absent[1]}.*600 leaves"):
        Tiler(600, stored(tiles))


def test_resuming_from_a_tile_of_a_smaller_tree_is_refused(oracle):
    with pytest.raises(TileTooNarrowError, match="Tile 0/2 is 2816 bytes, and 2848 at 601"):
        Tiler(601, stored(oracle.tiles(600)))


def test_entries_in_place_of_hashes_are_refused_and_change_nothing(oracle):
    tiler = Tiler()
    with pytest.raises(HashLengthError, match="not the entries"):
        tiler.add([oracle.leaf(0), b"an entry"])
    assert (tiler.size, tiler.take_changed()) == (0, [])


def test_a_tile_as_it_stood_at_a_size(oracle):
    now = Tile(0, 1, oracle.tiles(500)[0, 1])
    assert now.width == 244
    for size in range(501):
        assert now.at(size).hashes == oracle.tiles(size).get((0, 1), b""), size
    with pytest.raises(TileTooNarrowError):
        now.at(501)


@pytest.mark.parametrize(
    ("size", "edges"),
    [
        (0, []),
        (1, [(0, 0)]),
        (255, [(0, 0)]),
        (256, [(1, 0)]),
        (257, [(0, 1), (1, 0)]),
        (65_536, [(2, 0)]),
        (65_537, [(0, 256), (2, 0)]),
        (65_536 + 256, [(1, 1), (2, 0)]),
    ],
)
def test_edge_tiles_are_the_partial_ones(oracle, size, edges):
    assert [(edge.level, edge.index) for edge in edge_tiles(size)] == edges
    partial = [key for key, hashes in oracle.tiles(size).items() if len(hashes) < 256 * 32]
    assert partial == edges


def test_every_node_can_be_read_from_the_tiles(oracle):
    tiles = oracle.tiles(LARGE)
    node = node_reader(lambda level, index: tiles[level, index])
    for level in range(LARGE.bit_length()):
        count = LARGE >> level
        for index in {*range(0, count, 97), *range(max(count - 3, 0), count)}:
            assert node(level, index) == oracle.node(level, index), (level, index)


def test_a_node_past_the_edge_is_refused(oracle):
    tiles = oracle.tiles(300)
    node = node_reader(lambda level, index: tiles[level, index])
    assert node(2, 74) == oracle.node(2, 74)
    with pytest.raises(TileTooNarrowError, match="Tile 0/1 is 1408 bytes, and node 75 of tree"):
        node(2, 75)


def test_the_tiles_of_a_proof_are_known_before_they_are_read(oracle):
    tiles = oracle.tiles(LARGE)
    for index in (0, 255, 256, 40_000, 65_535, 65_536, LARGE - 1):
        needed = tiles_read_by(lambda node, index=index: inclusion_proof(index, LARGE, node))
        only = {(tile.level, tile.index): tiles[tile.level, tile.index] for tile in needed}
        read = set()

        def read_tile(level, index, only=only, read=read):
            read.add((level, index))
            return only[level, index]

        proof = inclusion_proof(index, LARGE, node_reader(read_tile))
        assert proof == oracle.path(index, 0, LARGE)
        assert read == set(only)
        assert len(only) <= 6
