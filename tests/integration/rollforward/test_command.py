"""`wallet roll-forward` as it is typed: what it asks, says and leaves alone."""

import os
import pty

import pytest

from engine.settings import Settings
from tests.support.databases import connection_to
from tests.support.history import HistoryBuilder
from tests.support.restore_points import log_rows
from tests.support.wallet_command import finish, run, start


async def shard_row(settings: Settings) -> tuple[object, ...]:
    async with connection_to(settings.database_url) as connection:
        row = await connection.fetchrow("SELECT * FROM shards")
    assert row is not None
    return tuple(row.values())


async def test_a_dry_run_says_what_would_be_done_and_writes_nothing(behind: Settings) -> None:
    before = await shard_row(behind)
    done = await run(behind, "roll-forward", "--dry-run")
    assert done.status == 0, done.err
    assert "3 entries would be appended; nothing has been written." in done.out
    told = (await run(behind, "roll-forward", "--dry-run", "--json")).document
    assert (told["done"], told["entries"]) == (False, 3)
    (shard,) = told["shards"]
    shard.pop("root")
    assert shard == {
        "shard": 0,
        "entries": 3,
        "position": 5,
        "restored": "2026-01-01T00:00:01Z",
        "reached": "2026-01-01T00:00:04Z",
        "next_offset": 2,
        "undecided": 3,
    }
    assert await shard_row(behind) == before
    assert len(await log_rows(behind.database_url)) == 2


async def test_status_says_that_history_is_lacking_until_it_is_there_again(
    behind: Settings,
) -> None:
    # the database learns of its topics
    assert (await run(behind, "roll-forward", "--dry-run")).status == 0
    lacking = await run(behind, "status")
    assert lacking.status == 0, lacking.err
    assert "shard 0 (up to 5, and not 2)" in lacking.out
    assert "then `wallet roll-forward`" in lacking.out
    (shard,) = (await run(behind, "status", "--json")).document["shards"]
    assert (shard["position"], shard["events_position"]) == (2, 5)
    assert (await run(behind, "roll-forward", "--yes")).status == 0
    whole = await run(behind, "status")
    assert whole.status == 0, whole.err
    assert "lack" not in whole.out


async def test_it_says_what_was_done_and_what_was_not(behind: Settings) -> None:
    dry = (await run(behind, "roll-forward", "--dry-run", "--json")).document
    done = await run(behind, "roll-forward", "--yes")
    assert done.status == 0, done.err
    assert "3 entries were appended. Start the engines: they take up 3 records again" in done.out
    assert "stand in PostgreSQL alone: they are as of the restored point" in done.out
    # the root that was announced is the one of what is there now
    again = (await run(behind, "roll-forward", "--dry-run", "--json")).document
    assert again["shards"][0]["root"] == dry["shards"][0]["root"]


async def test_it_refuses_to_run_while_it_is_not_needed(
    settings: Settings, behind: Settings, history: HistoryBuilder
) -> None:
    async with connection_to(settings.database_url) as connection:
        await history.write(connection)
    before = await shard_row(settings)
    done = await run(settings, "roll-forward", "--yes")
    assert done.status == 0
    assert "there is nothing to roll forward. Start the engines." in done.out
    assert await shard_row(settings) == before


async def test_without_a_terminal_it_has_to_be_told_yes(behind: Settings) -> None:
    before = await shard_row(behind)
    done = await run(behind, "roll-forward")
    assert done.status == 2
    assert "say --yes" in done.err
    assert await shard_row(behind) == before


@pytest.mark.parametrize("partitions", [2], indirect=True)
async def test_every_shard_is_fenced_if_one_lacks_entries(behind: Settings) -> None:
    done = await run(behind, "roll-forward", "--yes", "--json")
    assert [shard["entries"] for shard in done.document["shards"]] == [3, 0]
    async with connection_to(behind.database_url) as connection:
        assert await connection.fetchval("SELECT count(DISTINCT lease) FROM shards") == 2


async def test_one_shard_alone(behind: Settings) -> None:
    done = await run(behind, "roll-forward", "--yes", "--shard", "0", "--json")
    assert [shard["shard"] for shard in done.document["shards"]] == [0]
    assert len(await log_rows(behind.database_url)) == 5


@pytest.mark.parametrize(("answer", "status", "entries"), [(b"n\n", 1, 2), (b"y\n", 0, 5)])
async def test_at_a_terminal_it_asks(
    behind: Settings, answer: bytes, status: int, entries: int
) -> None:
    terminal, stdin = pty.openpty()
    try:
        process = await start(behind, "roll-forward", stdin=stdin)
        os.write(terminal, answer)
        done = await finish(process)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert done.status == status, done.err
    assert "Append 3 entries to the log? [y/N]" in done.err
    assert "reached" in done.out
    assert len(await log_rows(behind.database_url)) == entries
