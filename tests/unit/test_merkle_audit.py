import pytest

from engine.merkle import (
    Difference,
    Tile,
    TileCheck,
    TileMissingError,
    TilesDisagreeError,
    TileTooNarrowError,
    first_difference,
)
from tests.merkle_oracle import numbered

SIZE = 700
POSITIONS = [0, 1, 100, 254, 255, 256, 257, 511, 512, 513, 698]


@pytest.fixture(scope="module")
def oracle():
    return numbered(67_000)


@pytest.fixture
def leaves(oracle):
    return oracle.leaves(0, SIZE)


@pytest.fixture
def tiles(oracle):
    return tiles_at(oracle, SIZE, 0)


def tiles_at(oracle, size, *levels):
    return [
        Tile(level, index, hashes)
        for (level, index), hashes in oracle.tiles(size).items()
        if not levels or level in levels
    ]


def checked(tiles, size):
    check = TileCheck(size)
    for tile in tiles:
        check.add(tile)
    return check.finish()


def test_an_untouched_log_has_no_difference(oracle):
    for size in (0, 1, 255, 256, 257, 512, 700):
        tiles = tiles_at(oracle, size, 0)
        assert first_difference(tiles, oracle.leaves(0, size)) is None, size


@pytest.mark.parametrize("at", [*POSITIONS, SIZE - 1])
def test_a_changed_entry_is_named(tiles, leaves, at):
    was, leaves[at] = leaves[at], bytes(32)
    assert first_difference(tiles, leaves) == Difference(at, was, bytes(32))


@pytest.mark.parametrize("at", POSITIONS)
def test_a_dropped_entry_is_named(tiles, leaves, at):
    was = leaves.pop(at)
    assert first_difference(tiles, leaves) == Difference(at, was, leaves[at])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, SIZE - 1])
def test_a_log_that_was_cut_off_is_named(tiles, leaves, size):
    assert first_difference(tiles, leaves[:size]) == Difference(size, leaves[size], None)


@pytest.mark.parametrize("at", POSITIONS)
def test_swapped_entries_are_named_by_the_first(tiles, leaves, at):
    last = SIZE - 1
    leaves[at], leaves[last] = leaves[last], leaves[at]
    assert first_difference(tiles, leaves) == Difference(at, leaves[last], leaves[at])


@pytest.mark.parametrize("at", [*POSITIONS, SIZE - 1])
def test_an_added_entry_is_named(tiles, leaves, at):
    leaves.insert(at, bytes(32))
    assert first_difference(tiles, leaves) == Difference(at, leaves[at + 1], bytes(32))


@pytest.mark.parametrize("size", [0, 1, 256, SIZE])
def test_an_entry_added_at_the_end_is_named(oracle, size):
    tiles = tiles_at(oracle, size, 0)
    leaves = [*oracle.leaves(0, size), bytes(32), bytes(32)]
    assert first_difference(tiles, leaves) == Difference(size, None, bytes(32))


def test_the_first_of_several_is_named(tiles, leaves):
    leaves[600] = leaves[300] = leaves[299] = bytes(32)
    difference = first_difference(tiles, leaves)
    assert difference is not None
    assert difference.position == 299


def test_a_log_can_be_compared_run_by_run(tiles, leaves):
    assert first_difference(tiles[1:], leaves[256:]) is None
    leaves[520] = bytes(32)
    assert first_difference(tiles[1:2], leaves[256:512]) is None
    found = first_difference(tiles[2:], leaves[512:])
    assert found is not None
    assert found.position == 520


def test_no_more_is_read_than_is_needed(tiles, leaves):
    read = []
    leaves[300] = bytes(32)
    first_difference(tiles, (read.append(leaf) or leaf for leaf in leaves))
    assert len(read) == 512


def test_a_gap_in_the_tiles_is_not_taken_for_a_wrong_entry(oracle, tiles, leaves):
    with pytest.raises(TileMissingError, match="Tile 0/1 is missing"):
        first_difference([tiles[0], tiles[2]], leaves)
    narrow = Tile(0, 0, tiles[0].hashes[:-32])
    with pytest.raises(TileMissingError, match="Tile 0/0 is missing or not full"):
        first_difference([narrow, *tiles[1:]], leaves)


def test_tiles_of_an_upper_level_are_not_compared_with_the_log(oracle, leaves):
    with pytest.raises(TileMissingError, match="tiles of level 0"):
        first_difference(tiles_at(oracle, SIZE, 1), leaves)


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
    for absent in (*tiles[:3], *tiles[-4:]):
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
