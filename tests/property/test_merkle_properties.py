from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.merkle import (
    Frontier,
    MerkleError,
    Tile,
    TileCheck,
    Tiler,
    consistency_proof,
    depth_first,
    inclusion_proof,
    node_reader,
    verify_consistency,
    verify_inclusion,
)
from tests.merkle_oracle import Oracle, numbered

LONGEST = 900
oracle = numbered(LONGEST)
leaves = oracle.leaves(0, LONGEST)
sizes = st.integers(0, LONGEST)
filled = st.integers(1, LONGEST)


def tiles_at(size):
    tiler = Tiler()
    tiler.add(leaves[:size])
    return tiler.take_changed()


@given(st.lists(st.binary(max_size=40), max_size=80), st.lists(st.integers(0, 80)))
def test_the_root_is_the_same_however_the_log_was_cut_into_batches(entries, cuts):
    reference = Oracle(entries)
    bounds = [0, *sorted(min(cut, len(entries)) for cut in cuts), len(entries)]
    frontier = Frontier()
    for start, end in pairwise(bounds):
        frontier.extend(reference.leaves(start, end))
        frontier = Frontier.from_bytes(end, frontier.to_bytes())
    assert frontier.root() == reference.root(0, len(entries))


@given(st.lists(st.integers(0, 400), max_size=8), st.sets(st.integers(0, 7)))
def test_tiles_are_the_same_however_often_the_tiler_was_restarted(batches, restarts):
    tiler, stored = Tiler(), {}
    for number, batch in enumerate(batches):
        tiler.add(leaves[tiler.size : tiler.size + batch])
        stored |= {tile.id: tile for tile in tiler.take_changed()}
        if number in restarts:
            tiler = Tiler(tiler.size, stored.values())
    assert sorted(stored.values()) == tiles_at(tiler.size)
    check = TileCheck(tiler.size)
    for tile_id in depth_first(tiler.size):
        check.add(stored[tile_id])
    assert check.finish().root() == oracle.root(0, tiler.size)


@given(filled, st.data())
def test_every_proof_read_from_tiles_is_the_one_of_the_rfc_and_verifies(size, data):
    at = data.draw(st.integers(0, size - 1))
    tiles = {(tile.level, tile.index): tile.hashes for tile in tiles_at(LONGEST)}
    node = node_reader(lambda level, index: tiles[level, index])
    root = oracle.root(0, size)

    path = inclusion_proof(at, size, node)
    assert path == oracle.path(at, 0, size)
    assert verify_inclusion(leaves[at], at, size, path, root)

    proof = consistency_proof(at + 1, size, node)
    assert proof == oracle.proof(at + 1, size)
    assert verify_consistency(at + 1, size, oracle.root(0, at + 1), root, proof)


@given(filled, st.data())
def test_any_flipped_bit_of_a_tile_is_noticed(size, data):
    tiles = tiles_at(size)
    which = data.draw(st.integers(0, len(tiles) - 1))
    tile = tiles[which]
    bit = data.draw(st.integers(0, len(tile.hashes) * 8 - 1))
    changed = bytearray(tile.hashes)
    changed[bit // 8] ^= 1 << bit % 8
    tiles[which] = Tile(tile.level, tile.index, bytes(changed))
    by_id = {tile.id: tile for tile in tiles}
    check = TileCheck(size)
    try:
        for tile_id in depth_first(size):
            check.add(by_id[tile_id])
        noticed = check.finish().root() != oracle.root(0, size)
    except MerkleError:
        noticed = True
    assert noticed
