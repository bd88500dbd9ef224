import pytest

from engine.merkle import (
    Tile,
    TileCheck,
    TileId,
    TileMissingError,
    TilesDisagreeError,
    TileTooNarrowError,
    depth_first,
    tile_ids,
)
from tests.merkle_oracle import numbered


@pytest.fixture(scope="module")
def oracle():
    return numbered(67_000)


def tiles_at(oracle, size):
    tiles = oracle.tiles(size)
    return [Tile(id_.level, id_.index, tiles[id_.level, id_.index]) for id_ in depth_first(size)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700, 65_535, 65_536, 65_537, 66_000])
def test_every_tile_comes_once_and_after_its_children(oracle, size):
    order = list(depth_first(size))
    assert sorted(order) == sorted(tile_ids(size))
    seen = set()
    for tile in order:
        width = tile.width_at(size) if tile.level else 0
        children = {TileId(tile.level - 1, tile.index * 256 + nth) for nth in range(width)}
        assert children <= seen
        seen.add(tile)


def test_no_more_than_a_tiles_width_of_hashes_is_held_for_each_level(oracle):
    check, held = TileCheck(66_000), 0
    for tile in tiles_at(oracle, 66_000):
        check.add(tile)
        held = max(held, sum(map(len, check._below.values())))
    assert held <= 3 * 256


def checked(tiles, size):
    check = TileCheck(size)
    for tile in tiles:
        check.add(tile)
    return check.finish()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700, 65_535, 65_536, 65_537, 66_000])
def test_tiles_come_to_the_root(oracle, size):
    frontier = checked(tiles_at(oracle, size), size)
    assert (frontier.size, frontier.root()) == (size, oracle.root(0, size))


def test_tiles_of_a_larger_tree_come_to_the_root_of_a_smaller(oracle):
    tiles = tiles_at(oracle, 66_000)
    for size in (0, 1, 256, 700, 65_535, 65_536, 65_999):
        assert checked(tiles, size).root() == oracle.root(0, size), size


def test_the_frontier_goes_on_past_the_tiles(oracle):
    frontier = checked(tiles_at(oracle, 700), 700)
    frontier.extend(oracle.leaves(700, 1_000))
    assert frontier.root() == oracle.root(0, 1_000)


def flipped(tile, at):
    changed = bytearray(tile.hashes)
    changed[at * 32] ^= 1
    return Tile(tile.level, tile.index, bytes(changed))


def test_a_changed_full_tile_disagrees_with_the_one_above(oracle):
    tiles = tiles_at(oracle, 66_000)
    for index, at in ((0, 0), (100, 255), (256, 7)):
        changed = [flipped(t, at) if (t.level, t.index) == (0, index) else t for t in tiles]
        parent = f"Hash {index % 256} of tile 1/{index // 256} .* of tile 0/{index}:"
        with pytest.raises(TilesDisagreeError, match=parent):
            checked(changed, 66_000)


@pytest.mark.parametrize(("level", "index", "at"), [(1, 0, 0), (1, 0, 255), (1, 1, 0), (2, 0, 0)])
def test_a_changed_upper_tile_disagrees_with_those_below(oracle, level, index, at):
    tiles = tiles_at(oracle, 66_000)
    changed = [flipped(t, at) if (t.level, t.index) == (level, index) else t for t in tiles]
    with pytest.raises(TilesDisagreeError, match=f"Hash {at} of tile {level}/{index} "):
        checked(changed, 66_000)


def test_a_changed_edge_tile_comes_to_another_root(oracle):
    *full, edge, parent = tiles_at(oracle, 700)
    assert (edge.level, edge.index) == (0, 2)
    for at in (0, 100, 187):
        assert checked([*full, flipped(edge, at), parent], 700).root() != oracle.root(0, 700)


def test_an_absent_tile_is_named(oracle):
    tiles = tiles_at(oracle, 66_000)
    for absent in (*tiles[:3], *tiles[-4:], tiles[256]):
        rest = [tile for tile in tiles if tile != absent]
        with pytest.raises(TileMissingError, match=f"Tile {absent.level}/{absent.index} "):
            checked(rest, 66_000)


def test_a_tile_out_of_order_or_given_twice_is_refused(oracle):
    tiles = tiles_at(oracle, 700)
    with pytest.raises(TileMissingError, match="Tile 0/0 should come next"):
        checked(tiles[::-1], 700)
    with pytest.raises(TileMissingError, match="each tile once"):
        checked([*tiles, tiles[-1]], 700)


def test_a_tile_that_was_cut_short_is_refused(oracle):
    tiles = [Tile(t.level, t.index, t.hashes[:-32]) for t in tiles_at(oracle, 700)]
    for at in range(len(tiles)):
        whole = tiles_at(oracle, 700)
        whole[at] = tiles[at]
        with pytest.raises(TileTooNarrowError, match=f"Tile {whole[at].id} is "):
            checked(whole, 700)
