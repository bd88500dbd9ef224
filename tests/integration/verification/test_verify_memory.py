"""Verification needs no more memory for more wallets, entries or rows of read models.

What Python has allocated at most is measured, at two sizes of one kind of log.
"""

import gc
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest

from projections import comparison, spool
from projections.verification import frozen, shard, tree
from projections.verification.shard_job import ShardJob
from projections.wallet_trees import building, count_tree
from tests.support.history import HistoryBuilder
from tests.support.proven import Proven

_KIB = 1_024


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch):
    """So that both sizes are far beyond every bound."""
    monkeypatch.setattr(shard, "PAGE_ENTRIES", 64)
    monkeypatch.setattr(shard, "COMMIT_PAGES", 2)
    monkeypatch.setattr(spool, "AT_HAND_WEIGHT_MAX", 200)
    monkeypatch.setattr(spool, "_READ_ROWS", 64)
    monkeypatch.setattr(frozen, "_FETCHED_ROWS", 64)
    monkeypatch.setattr(tree, "_TILES_PAGE", 2)
    monkeypatch.setattr(comparison, "_PAGE_ENTRIES", 64)
    monkeypatch.setattr(building, "_PAGE_WALLETS", 256)


def many_wallets(number: int, wallets: int) -> HistoryBuilder:
    history = HistoryBuilder(number)
    for each in range(wallets):
        wallet_id = f"wal_w{number}n{each}"
        history.create(wallet_id, metadata={"note": "n" * 100})
        history.credit(wallet_id, 500, lasts=10**8).debit(wallet_id, 20).debit(wallet_id, 10**9)
    return history


async def allocated_at_most(work: Callable[[], Awaitable[object]]) -> int:
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        await work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.fixture
async def sizes(proven) -> tuple[Proven, Proven]:
    """Six times as much of everything in shard 2 as in shard 1."""
    small = await Proven.write(proven.database, many_wallets(1, 250))
    large = await Proven.write(proven.database, many_wallets(2, 1_500))
    return small, large


async def test_a_shard_of_many_wallets_is_verified_in_the_memory_of_one_of_few(sizes):
    async def verify(proven: Proven) -> None:
        entries = proven.history.entries
        job = ShardJob(shard=proven.shard, instant=entries[-1].occurred_at, signed=[])
        outcome = await job.run(proven.database, None, None, lambda _: None)
        assert not any(tally.failed for tally in outcome.tallies.values())
        assert outcome.tallies["timers"].checked == len(entries) // 4
        assert outcome.tallies["snapshots"].checked == len(entries) // 4

    # what is made once by the first use of anything is not to be counted
    await verify(sizes[0])
    small, large = [await allocated_at_most(lambda each=each: verify(each)) for each in sizes]
    assert large < small * 1.2 + 64 * _KIB, (small, large)


async def test_the_wallets_of_a_log_are_counted_in_the_same_memory(sizes):
    async def count(proven: Proven) -> None:
        size = len(proven.history.entries)
        tree = await count_tree(proven.database, proven.shard, size)
        assert tree.wallets == size // 4
        assert await building.build_tree(proven.database, proven.shard, size) == tree

    await count(sizes[0])
    small, large = [await allocated_at_most(lambda each=each: count(each)) for each in sizes]
    assert large < small * 1.2 + 64 * _KIB, (small, large)
