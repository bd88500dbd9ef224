"""Processes that verify, as the one that waits for them sees them."""

from datetime import UTC, datetime

import pytest

from projections.verification import SignedShard, VerificationError, workers
from projections.verification.task import Task
from projections.verification.workers import Workers

ENDS_AT_ONCE = "keyword"
MORE_THAN_A_PIPE_HOLDS = 2_000


@pytest.mark.parametrize("signed", [0, MORE_THAN_A_PIPE_HOLDS])
async def test_one_that_ends_before_it_was_told_all_is_not_taken_for_the_database(
    monkeypatch: pytest.MonkeyPatch, signed: int
) -> None:
    kept = SignedShard(
        source="checkpoint.txt",
        shard=0,
        size=1,
        log_root=bytes(32),
        wallets=1,
        wallets_root=bytes(32),
    )
    task = Task(
        settings={},
        kafka=False,
        shards=[0, 1],
        instant=datetime.now(UTC),
        signed=[kept] * signed,
        state_files={},
    )
    monkeypatch.setattr(workers, "_MODULE", ENDS_AT_ONCE)

    with pytest.raises(VerificationError, match="ended by itself, with status 0"):
        await Workers(task, 2, lambda _: None).run([0, 1])
