"""An interrupted verification goes on where it was, and comes to the same proof."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from api.install import install
from engine.merkle import Frontier, leaf_hashes
from engine.settings import Settings
from projections.verification import (
    Progress,
    SignedShard,
    VerificationError,
    shard,
    verify,
)
from projections.verification.shard_job import ShardJob, ShardOutcome
from projections.wallet_trees import count_tree
from schemas.entries import encode_entry
from schemas.events import Debited
from tests.support.databases import connection_to
from tests.support.polling import poll_async
from tests.support.proven import Proven, busy_history
from tests.support.wallet_command import finish, run, start

_BLOCKED = """
SELECT count(*) FROM pg_locks
 WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class InterruptedHereError(Exception):
    """Instead of a signal, so that it comes where the test wants it."""


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(shard, "PAGE_ENTRIES", 64)
    monkeypatch.setattr(shard, "COMMIT_PAGES", 2)


async def verified(proven, state_file=None, on_progress=lambda _: None, signed=()) -> ShardOutcome:
    instant = proven.history.entries[-40].occurred_at
    job = ShardJob(shard=proven.shard, instant=instant, signed=[*signed], state_file=state_file)
    return await job.run(proven.database, None, None, on_progress)


async def verified_in_pieces(
    proven, state_file, pages: int = 2, signed=()
) -> tuple[ShardOutcome, int]:
    """Interrupted after so many pages from where it went on."""
    interruptions = 0
    while True:
        told = 0

        def interrupt(_: Progress) -> None:
            nonlocal told
            told += 1
            # the first two say where it goes on
            if told >= 2 + pages:
                raise InterruptedHereError

        try:
            return await verified(proven, state_file, interrupt, signed), interruptions
        except InterruptedHereError:
            interruptions += 1
            assert interruptions < 100


def plainly(outcome: ShardOutcome) -> object:
    return msgspec.to_builtins(outcome)


async def test_it_comes_to_the_same_proof_however_often_it_was_interrupted(proven, tmp_path):
    whole = await verified(proven)
    assert not any(tally.failed for tally in whole.tallies.values())
    pieces, interruptions = await verified_in_pieces(proven, tmp_path / "state")
    assert interruptions > 4
    assert plainly(pieces) == plainly(whole)


async def test_what_is_wrong_is_found_once_on_either_side_of_an_interruption(proven, tmp_path):
    for after in (50, 150, 400, 700):
        await proven.edit_entry(proven.position_of(Debited, after=after), amount=1)
    await proven.tamper("DELETE FROM log WHERE position = 333")
    await proven.tamper("UPDATE log SET data = '{' WHERE position = 555")
    await proven.database.execute("UPDATE wallets_1 SET balance = balance + 1")
    await proven.database.execute("DELETE FROM due")
    whole = await verified(proven)
    pieces, _ = await verified_in_pieces(proven, tmp_path / "state")
    assert sum(tally.failed for tally in whole.tallies.values()) > 10
    assert plainly(pieces) == plainly(whole)


async def test_it_may_be_interrupted_between_any_two_entries(proven, tmp_path, monkeypatch):
    """Also within a command's entries, and where what is wrong is told by the entry before."""
    monkeypatch.setattr(shard, "PAGE_ENTRIES", 1)
    monkeypatch.setattr(shard, "COMMIT_PAGES", 1)
    other = await Proven.write(proven.database, busy_history(shard=1, rounds=2))
    assert any(not entry.last for entry in other.history.entries)
    for after in (10, 20, 30, 40):
        position = other.position_of(Debited, after=after)
        earlier = other.history.entries[position - 2]
        await other.edit_entry(position, occurred_at=earlier.occurred_at - timedelta(seconds=9))
        await other.edit_entry(position + 1, offset=earlier.offset)
    for pages in (2, 3):
        whole = await verified(other)
        assert whole.tallies["commands"].failed >= 4
        assert whole.tallies["replay"].failed >= 4
        pieces, interruptions = await verified_in_pieces(other, tmp_path / f"{pages}", pages)
        assert interruptions > 15
        assert plainly(pieces) == plainly(whole)


async def test_what_was_read_is_not_read_again(proven, tmp_path):
    state_file = tmp_path / "state"

    def interrupt(now: Progress) -> None:
        if now.done > 500:
            raise InterruptedHereError

    with pytest.raises(InterruptedHereError):
        await verified(proven, state_file, interrupt)
    await proven.edit_entry(proven.position_of(Debited, after=300), amount=1)
    told = []
    gone_on = await verified(proven, state_file, told.append)
    assert gone_on.tallies["replay"].failed == 0
    assert (await verified(proven)).tallies["replay"].failed
    # it begins by saying how far it was
    assert [now.done for now in told][1] > 300
    assert told[-1].done == len(proven.history.entries)
    # and a shard that is done is not read at all
    told.clear()
    assert plainly(await verified(proven, state_file, told.append)) == plainly(gone_on)
    assert told == []


async def signed_at(proven, size: int) -> SignedShard:
    frontier = Frontier()
    frontier.extend(leaf_hashes([encode_entry(entry) for entry in proven.history.entries[:size]]))
    wallets = await count_tree(proven.database, proven.shard, size)
    return SignedShard(
        source=f"checkpoint of {size}",
        shard=proven.shard,
        size=size,
        log_root=frontier.root(),
        wallets=wallets.wallets,
        wallets_root=wallets.root,
    )


async def test_what_was_signed_is_held_against_entries_that_were_read_before(proven, tmp_path):
    signed = [await signed_at(proven, size) for size in (1, 130, 300, 301, 700)]
    pieces, interruptions = await verified_in_pieces(proven, tmp_path / "right", signed=signed)
    assert interruptions > 4
    assert pieces.tallies["checkpoint"].checked == len(signed)
    assert not any(tally.failed for tally in pieces.tallies.values())
    signed[2] = msgspec.structs.replace(signed[2], log_root=signed[1].log_root)
    whole = await verified(proven, signed=signed)
    pieces, _ = await verified_in_pieces(proven, tmp_path / "wrong", signed=signed)
    assert whole.tallies["checkpoint"].failed == 1
    assert plainly(pieces) == plainly(whole)


@pytest.fixture
async def committed(database_url):
    await install(database_url)
    async with connection_to(database_url) as connection:
        for number in (0, 1, 2):
            await Proven.write(connection, busy_history(shard=number, rounds=4))
        yield await Proven.write(connection, busy_history(shard=3, rounds=2))


@pytest.fixture
def settings(database_url) -> Settings:
    return Settings(database_url=database_url)


async def test_shards_are_verified_by_several_processes_as_by_one(committed, settings):
    await committed.tamper("DELETE FROM log WHERE shard = 2 AND position = 7")
    told: list[Progress] = []
    one = await verify(settings, kafka=False, processes=1)
    two = await verify(settings, kafka=False, processes=2, on_progress=told.append)
    assert [proof.shard for proof in two.shards] == [0, 1, 2, 3]
    assert msgspec.structs.replace(two, instant=one.instant) == one
    assert two.first is not None
    assert two.first.place == "shard 2, position 7"
    for proof in two.shards:
        done = [now for now in told if now.stage == f"shard {proof.shard}"]
        assert done[-1].total == proof.entries
        assert [now.done for now in done] == sorted(now.done for now in done)


async def test_the_files_are_gone_once_the_proof_is_there(committed, settings, tmp_path):
    state = tmp_path / "state"
    await verify(settings, kafka=False, state=state)
    assert list(state.iterdir()) == []


async def test_another_verification_does_not_go_on_with_its_files(committed, settings, tmp_path):
    state = tmp_path / "state"
    async with waiting(committed, settings, state) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    with pytest.raises(VerificationError, match="another verification was begun"):
        await verify(settings, kafka=False, shards=[1], state=state)
    assert (await verify(settings, kafka=False, state=state)).passed


async def test_one_that_was_told_to_end_says_how_to_go_on(committed, settings, tmp_path):
    state = tmp_path / "state"
    async with waiting(committed, settings, state) as process:
        process.send_signal(signal.SIGINT)
        done = await finish(process)
    assert (done.status, done.out) == (130, "")
    assert done.err == f"Interrupted; the same command goes on from what is in {state}.\n"
    again = await run(settings, "verify", "--no-kafka", "--state", str(state))
    assert again.status == 0, again.out
    assert list(state.iterdir()) == []


async def test_the_death_of_one_that_reads_is_said_so(committed, settings, tmp_path):
    state = tmp_path / "state"
    async with waiting(committed, settings, state) as process:
        for worker in psutil.Process(process.pid).children():
            worker.kill()
        done = await finish(process)
    assert (done.status, done.out) == (1, "")
    assert "ended by itself" in done.err
    assert done.err.count("\n") == 1
    assert (await verify(settings, kafka=False, state=state)).passed


@asynccontextmanager
async def waiting(
    committed: Proven, settings: Settings, state: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that has begun and can't go on, for it waits for one of the tables."""
    transaction = committed.database.transaction()
    await transaction.start()
    await committed.database.execute("LOCK TABLE tiles")
    process = await start(settings, "verify", "--no-kafka", "--state", str(state))
    try:
        async with connection_to(settings.database_url) as other:
            await poll_async(lambda: other.fetchval(_BLOCKED))
        yield process
    finally:
        await transaction.rollback()
