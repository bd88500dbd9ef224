"""The tree of wallets is that of the log at exactly its size, and proves each wallet's leaf."""

import json
from collections import Counter

import pytest

from engine.merkle import TILE_WIDTH, leaf_hash, root_of, verify_inclusion
from projections.wallet_trees import (
    WalletLeaf,
    WalletTreeMissingError,
    build_tree,
    count_tree,
    prove_wallet,
    stored_tree,
    tallied_tree,
)
from projections.wallet_trees.building import TREES_KEPT_MAX
from projections.wallet_trees.queries import QUERIES
from tests.support.history import HistoryBuilder
from tests.support.proven import Proven


def leaves_of(history: HistoryBuilder, size: int) -> list[WalletLeaf]:
    """Counted in another way than the database does."""
    entries = history.entries[:size]
    counts = Counter(entry.wallet_id for entry in entries)
    versions = {entry.wallet_id: entry.version for entry in entries if entry.version is not None}
    return [
        WalletLeaf(wallet, versions.get(wallet, 0), counts[wallet])
        for wallet in sorted(counts, key=str.encode)
    ]


def many_wallets(history: HistoryBuilder, count: int) -> HistoryBuilder:
    for number in range(count):
        history.create(f"wal_{'zZ0aA'[number % 5]}{number}")
        history.topup(f"wal_{'zZ0aA'[number % 5]}{number}", 5)
    return history.debit("wal_unknown", 5)


def test_a_leaf_is_the_same_for_ever():
    leaf = WalletLeaf("wal_a1b2c3", 17, 21)
    assert leaf.data() == b'["wal_a1b2c3",17,21]'
    assert leaf.hash() == leaf_hash(leaf.data())
    strange = WalletLeaf('wal_"é\n', 0, 1)
    assert (
        strange.data()
        == json.dumps(list(strange), separators=(",", ":"), ensure_ascii=False).encode()
    )


@pytest.mark.parametrize("size", [0, 1, 7, 100, 411, None])
async def test_counted_or_tallied_it_is_that_of_the_entries_below_its_size(proven, size):
    size = len(proven.history.entries) if size is None else size
    leaves = leaves_of(proven.history, size)
    counted = await count_tree(proven.database, 0, size)
    assert (counted.size, counted.wallets) == (size, len(leaves))
    assert counted.root == root_of(leaf.hash() for leaf in leaves)
    assert await build_tree(proven.database, 0, size) == counted
    assert await stored_tree(proven.database, 0, size) == counted


async def test_a_page_of_wallets_is_read_in_the_order_of_the_index_without_statistics(proven):
    """Else each page of a large shard would read all of it."""
    await proven.database.execute(QUERIES["walk_in_order"])
    query = QUERIES["count_wallets"].rstrip(";")
    plan = await proven.database.fetch(f"EXPLAIN {query}", 0, 500, "", 4_096)
    text = "\n".join(row[0] for row in plan)
    assert "Index Scan using log_version_once" in text
    assert "Sort" not in text
    assert "HashAggregate" not in text


async def test_sizes_in_any_order_give_the_same_trees(proven):
    sizes = [300, 100, 700, 300, 699]
    built = [await build_tree(proven.database, 0, size) for size in sizes]
    assert built == [await count_tree(proven.database, 0, size) for size in sizes]


async def test_what_an_interrupted_run_left_behind_does_no_harm(proven):
    await proven.database.execute(
        "INSERT INTO wallet_tiles VALUES (0, 400, 0, 0, 'wal_', 'x'), (0, 400, 0, 9, 'wal_', 'x')"
    )
    tree = await build_tree(proven.database, 0, 400)
    assert tree == await count_tree(proven.database, 0, 400)
    assert await proven.database.fetchval("SELECT count(*) FROM wallet_tiles") == 1
    assert await prove_wallet(proven.database, 0, 400, "wal_s0n1")


async def test_tallies_that_do_not_add_up_are_counted_again(proven):
    await build_tree(proven.database, 0, 300)
    await proven.database.execute("DELETE FROM wallet_tallies WHERE wallet_id = 'wal_s0n1'")
    assert await build_tree(proven.database, 0, 400) == await count_tree(proven.database, 0, 400)
    await build_tree(proven.database, 0, 500)
    assert await tallied_tree(proven.database, 0) == await count_tree(proven.database, 0, 500)


async def test_only_the_newest_trees_are_kept(proven):
    sizes = range(10, 10 + 2 * TREES_KEPT_MAX)
    for size in sizes:
        await build_tree(proven.database, 0, size)
    rows = await proven.database.fetch("SELECT DISTINCT size FROM wallet_tiles ORDER BY size")
    assert [row["size"] for row in rows] == list(sizes)[-TREES_KEPT_MAX:]
    with pytest.raises(WalletTreeMissingError, match="make a new checkpoint"):
        await prove_wallet(proven.database, 0, 10, "wal_s0n1")


async def test_every_wallet_is_proven_also_beyond_one_tile(proven):
    history = many_wallets(HistoryBuilder(1), 2 * TILE_WIDTH + 3)
    other = await Proven.write(proven.database, history)
    size = len(other.history.entries)
    tree = await build_tree(proven.database, 1, size)
    leaves = leaves_of(other.history, size)
    assert tree.wallets == len(leaves) == 2 * TILE_WIDTH + 4
    for index, leaf in enumerate(leaves):
        proven_leaf = await prove_wallet(proven.database, 1, size, leaf.wallet_id)
        assert proven_leaf is not None
        assert (proven_leaf.leaf, proven_leaf.index) == (leaf, index)
        assert verify_inclusion(leaf.hash(), index, tree.wallets, proven_leaf.proof, tree.root)
    assert await prove_wallet(proven.database, 1, size, "wal_none") is None
    assert WalletLeaf("wal_unknown", 0, 1) in leaves


async def test_a_leaf_that_the_log_does_not_lead_to_is_not_proven(proven):
    await build_tree(proven.database, 0, 400)
    await proven.tamper("DELETE FROM log WHERE position = 111")
    wallet_id = proven.history.entries[111].wallet_id
    with pytest.raises(WalletTreeMissingError, match="another leaf of wallet"):
        await prove_wallet(proven.database, 0, 400, wallet_id)
