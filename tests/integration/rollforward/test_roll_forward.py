"""After a restore, what was published keeps its outcome, its time and its position."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from engine.receipts import Accepted, DeadLettered, Outcome, Receipt, Rejected, resolve_many
from engine.settings import Settings
from projections.verification import verify
from schemas.commands import InvalidCommandError, decode_command
from schemas.instants import to_text
from tests.support.databases import connection_to
from tests.support.payloads import create, credit, debit, payload, topup
from tests.support.restore_points import copied, decide, log_rows, published_up_to
from tests.support.topics import read_commands
from tests.support.wallet_command import run

W = "wal_a1"


@asynccontextmanager
async def restored(settings: Settings) -> AsyncIterator[Settings]:
    """The settings for a copy of the database as it is now."""
    async with copied(settings.database_url) as url:
        yield settings.model_copy(update={"database_url": url})


async def outcomes(settings: Settings) -> list[Outcome | None]:
    """What the receipts of all records of the commands topic say."""
    receipts = []
    for record in await read_commands(settings):
        try:
            command = decode_command(record.value)
        except InvalidCommandError:
            command = None
        receipts.append(Receipt(command, record.partition, record.offset))
    async with connection_to(settings.database_url) as connection:
        return await resolve_many(connection, receipts)


def in_seconds(seconds: float) -> str:
    return to_text(datetime.now(UTC) + timedelta(seconds=seconds))


async def test_what_was_published_is_in_the_log_again_byte_for_byte(settings: Settings) -> None:
    await decide(settings, create(W), topup(W, "t1", 500), debit(W, "d1", 20), wallet_id=W)
    async with restored(settings) as after:
        late = [debit(W, "d2", 30), debit(W, "d3", 9_000), topup(W, "t2", 9_000)]
        await decide(settings, *late, wallet_id=W)
        lost = await log_rows(settings.database_url)
        assert len(lost) == 6

        done = await run(after, "roll-forward", "--yes", "--json")

        assert done.status == 0, done.err
        assert done.document["done"] is True
        assert done.document["entries"] == 3
        assert await log_rows(after.database_url) == lost
        # refused the first time, and refused for ever
        await decide(after, debit(W, "d3", 9_000), debit(W, "d4", 1), wallet_id=W)
        rows = await log_rows(after.database_url)
        assert rows[:6] == lost
        assert len(rows) == 7
        proof = await verify(after, processes=1)
        assert proof.passed, proof.findings


def life(wallet_id: str, tag: str) -> list[bytes]:
    """What can happen: expiring credit, refusals, a conflict, a repeat, a close in two entries."""
    return [
        create(wallet_id, f"{tag}0"),
        credit(wallet_id, f"{tag}1", 10, expires_at=in_seconds(1)),
        topup(wallet_id, f"{tag}2", 500),
        debit(wallet_id, f"{tag}3", 9_000),
        debit(wallet_id, f"{tag}3", 1),
        debit(wallet_id, f"{tag}4", 20),
        debit(wallet_id, f"{tag}4", 20),
        payload("close", wallet_id, f"{tag}5"),
        b"no command",
        topup(wallet_id, f"{tag}6", 1),
    ]


@pytest.mark.timeout(240)
async def test_restore_points_and_published_suffixes(settings: Settings) -> None:
    async with AsyncExitStack() as points:
        begins: list[tuple[Settings, int]] = []
        for wallet_id in ("wal_b0", "wal_b1"):
            await decide(settings, *life(wallet_id, "r"), wallet_id=wallet_id)
            point = await points.enter_async_context(restored(settings))
            begins.append((point, len(await log_rows(point.database_url))))
        await decide(settings, *life("wal_b2", "r"), wallet_id="wal_b2")
        whole = await log_rows(settings.database_url)
        told = await outcomes(settings)
        (early, after_one), (late, after_two) = begins
        for point, begin, stop in [
            (early, after_one, after_one + 1),
            (early, after_one, len(whole) - 3),
            (late, after_two, after_two),
            (late, after_two, len(whole)),
        ]:
            async with restored(point) as copy:
                await holds(settings, copy, begin, stop, whole, told)


async def holds(
    original: Settings,
    copy: Settings,
    begin: int,
    stop: int,
    whole: list[tuple[object, ...]],
    told: list[Outcome | None],
) -> None:
    """Roll a copy forward whose log ends at `begin`, with what was published before `stop`."""
    async with published_up_to(copy, original.database_url, stop) as world:
        done = await run(world, "roll-forward", "--yes", "--json")
        assert done.status == 0, done.err
        rows = await log_rows(world.database_url)
        assert rows == whole[: len(rows)]
        # whole commands alone are ever published
        assert stop - 1 <= len(rows) <= stop
        assert done.document["entries"] == len(rows) - begin
        await decide(world, topup("wal_z", "t", 1), wallet_id="wal_z")
        now = await log_rows(world.database_url)
        assert now[: len(rows)] == rows
        for before, after in zip(told, await outcomes(world), strict=False):
            assert after is not None
            if isinstance(before, DeadLettered) or position_of(before) < len(rows):
                assert after == before
            else:
                assert position_of(after) >= len(rows)
                # decided anew, at the new time
                assert decided_at(after) > decided_at(before)
        proof = await verify(world, processes=1)
        assert proof.passed, proof.findings


def decided_at(outcome: Outcome | None) -> datetime:
    assert isinstance(outcome, Accepted | Rejected)
    return outcome.entry.occurred_at


def position_of(outcome: Outcome | None) -> int:
    assert isinstance(outcome, Accepted | Rejected)
    return outcome.entry.position
