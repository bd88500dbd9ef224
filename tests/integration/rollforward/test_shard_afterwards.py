"""What hangs on the log is right after it was rolled forward: lease, timers, snapshots, letters."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from engine.errors import LeaseLostError
from engine.log import Append, ShardLog, ShardRow
from engine.merkle import Frontier, leaf_hashes
from engine.receipts import Accepted, DeadLettered, Receipt, resolve_many
from engine.rollforward import RollForward
from engine.settings import Settings
from engine.wallet import decode_wallet
from projections.verification import verify
from schemas.commands import decode_command
from schemas.entries import encode_entry
from schemas.instants import to_text
from tests.support.databases import connection_to
from tests.support.engines import service, wallets_at_home_in
from tests.support.history import HistoryBuilder
from tests.support.payloads import create, credit, topup
from tests.support.restore_points import (
    as_published,
    copied,
    decide,
    log_rows,
    nobody_connected,
    published_and_restored,
)
from tests.support.topics import read_commands


async def rolled_forward(settings: Settings) -> None:
    async with RollForward.connect(settings) as service:
        for plan in await service.examine(None, lambda *_: None):
            await service.roll_forward(plan, lambda *_: None)


def one_more(row: ShardRow, history: HistoryBuilder) -> Append:
    """What an engine of before has in its hand: one entry, computed for the row as it was."""
    now = datetime.now(UTC)
    entry = replace(history.entries[row.position], position=row.position, occurred_at=now)
    frontier = row.frontier
    data = encode_entry(entry)
    frontier.extend(leaf_hashes([data]))
    return Append(
        from_offset=row.next_offset,
        from_position=row.position,
        to_offset=row.next_offset + 1,
        last_record=None,
        frontier=frontier,
        now=now,
        published=row.published,
        wallet_ids=[entry.wallet_id],
        versions=[entry.version],
        command_ids=[bytes.fromhex(entry.command_id)],
        types=["debited"],
        data=[data],
    )


@pytest.mark.parametrize("fenced", [False, True], ids=["as restored", "rolled forward"])
async def test_an_engine_of_before_the_restore_appends_nothing(
    behind: Settings, history: HistoryBuilder, fenced: bool
) -> None:
    """Its lease is the one in the restored row, and all else that it has fits as well."""
    async with connection_to(behind.database_url) as connection:
        lease = await connection.fetchval(
            "UPDATE shards SET lease = gen_random_uuid(), epoch = 1 RETURNING lease"
        )
        row = await connection.fetchrow("SELECT * FROM shards")
        assert row is not None
    stands = {name: row[name] for name in ShardRow.__struct_fields__}
    batch = one_more(ShardRow(**stands), history)
    if fenced:
        await rolled_forward(behind)
    before = await log_rows(behind.database_url)
    zombie = await ShardLog.connect(0, behind)
    try:
        zombie._lease = UUID(str(lease))
        if fenced:
            with pytest.raises(LeaseLostError):
                await zombie.append(batch)
        else:
            await zombie.append(batch)
    finally:
        zombie.close()
    after = await log_rows(behind.database_url)
    assert (after == before) is fenced


async def test_a_shard_that_lacks_nothing_is_fenced_as_well(
    settings: Settings, history: HistoryBuilder, behind: Settings
) -> None:
    async with connection_to(behind.database_url) as connection:
        await history.write(connection)
        lease = await connection.fetchval(
            "UPDATE shards SET lease = gen_random_uuid() RETURNING lease"
        )
        await rolled_forward(behind)
        assert await connection.fetchval("SELECT lease FROM shards") != lease


async def test_the_row_goes_on_where_the_published_log_ends(
    behind: Settings, history: HistoryBuilder
) -> None:
    async with connection_to(behind.database_url) as connection:
        before = await connection.fetchrow("SELECT * FROM shards")
        await rolled_forward(behind)
        after = await connection.fetchrow("SELECT * FROM shards")
    assert before is not None
    assert after is not None
    tree = Frontier()
    tree.extend(leaf_hashes(encode_entry(entry) for entry in history.entries))
    assert (after["position"], after["published"]) == (5, 5)
    assert after["tree"] == tree.to_bytes()
    assert after["last_at"] == history.entries[-1].occurred_at
    # which commands they came from, the engine finds out by their ids
    assert after["next_offset"] == before["next_offset"] == 2
    assert after["last_record"] == before["last_record"]
    columns = [
        (row[1], row[2], row[3], row[4], row[6]) for row in await log_rows(behind.database_url)
    ]
    assert columns == [
        (e.position, e.wallet_id, e.version, bytes.fromhex(e.command_id), e.occurred_at)
        for e in history.entries
    ]


async def test_a_second_time_there_is_nothing_to_do(behind: Settings) -> None:
    await rolled_forward(behind)
    rows = await log_rows(behind.database_url)
    async with RollForward.connect(behind) as service:
        (plan,) = await service.examine(None, lambda *_: None)
    assert plan.entries == 0
    assert await log_rows(behind.database_url) == rows


async def test_snapshots_are_of_what_was_appended(
    behind: Settings, history: HistoryBuilder
) -> None:
    await rolled_forward(behind)
    async with connection_to(behind.database_url) as connection:
        snapshot = await connection.fetchrow("SELECT * FROM snapshots")
    assert snapshot is not None
    assert (snapshot["version"], snapshot["position"]) == (5, 4)
    assert decode_wallet(snapshot["state"]) == history.wallets["wal_a1"]
    assert snapshot["leaf_hash"] == leaf_hashes([encode_entry(history.entries[4])])[0]


async def test_the_page_and_the_cache_make_no_difference(
    behind: Settings, history: HistoryBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.rollforward.topic_reader._PAGE_RECORDS", 1)
    await rolled_forward(behind.model_copy(update={"cached_wallets_max": 1}))
    assert [row[-1] for row in await log_rows(behind.database_url)] == [
        encode_entry(entry) for entry in history.entries
    ]


async def test_a_database_that_no_engine_had_seen_yet(
    settings: Settings, history: HistoryBuilder
) -> None:
    await published_and_restored(settings, history, 0)
    await rolled_forward(settings)
    assert [row[-1] for row in await log_rows(settings.database_url)] == [
        encode_entry(entry) for entry in history.entries
    ]


async def test_a_command_is_appended_whole_wherever_a_page_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = HistoryBuilder().create("wal_a1").topup("wal_a1", 500)
    history.debit("wal_a1", 10).close("wal_a1")
    assert [entry.last for entry in history.entries[2:]] == [True, False, True]
    await published_and_restored(settings, history, 2)
    monkeypatch.setattr("engine.rollforward.topic_reader._PAGE_RECORDS", 1)
    appended: list[int] = []
    async with RollForward.connect(settings) as service:
        (plan,) = await service.examine(None, lambda *_: None)
        await service.roll_forward(plan, lambda _stage, done, _total: appended.append(done))
    assert appended == [1, 3]


async def test_records_that_were_stamped_by_a_wrong_clock_are_found(
    settings: Settings, history: HistoryBuilder
) -> None:
    """The search begins by time, and once more from the beginning if something is missing then."""
    async with service(settings, 1) as running:
        records = [topup("wal_a1", f"r{number}", 1) for number in range(5)]
        await running.send_commands(*records, wallet_id="wal_a1")
        for record in as_published(history):
            stamp = 0 if record.position < 4 else record.occurred_at.timestamp()
            await running.producer.send_and_wait(
                settings.events_topic,
                record.data,
                key=record.wallet_id.encode(),
                partition=0,
                timestamp_ms=int(stamp * 1000),
            )
    async with connection_to(settings.database_url) as connection:
        await history.write(connection, 2)
    await rolled_forward(settings)
    assert len(await log_rows(settings.database_url)) == 5


async def test_timers_stand_for_lots_that_came_back(settings: Settings) -> None:
    wallet_id = "wal_a1"
    await decide(settings, create(wallet_id), wallet_id=wallet_id)
    async with copied(settings.database_url) as url:
        after = settings.model_copy(update={"database_url": url})
        expires_at = datetime.now(UTC) + timedelta(seconds=20)
        lot = credit(wallet_id, "c", 10, expires_at=to_text(expires_at))
        await decide(settings, lot, wallet_id=wallet_id)
        await rolled_forward(after)
        async with service(after, 1) as running:
            assert await running.database.fetchval("SELECT at FROM due") == expires_at
            async with running.engine():
                await running.until(
                    "SELECT EXISTS (SELECT FROM log WHERE type = 'expired')", timeout_s=60
                )
        proof = await verify(after, processes=1)
        assert proof.passed, proof.findings


@pytest.mark.parametrize("partitions", [2], indirect=True)
async def test_dead_letters_and_forwards_are_made_again(settings: Settings) -> None:
    (here, stray) = (next(iter(wallets_at_home_in(shard, 2))) for shard in (0, 1))
    await decide(settings, create(here), wallet_id=here)
    async with copied(settings.database_url) as url:
        after = settings.model_copy(update={"database_url": url})
        async with service(settings, 2) as running:
            async with running.engine():
                await running.send(create(stray), partition=0, key=stray.encode())
                await running.send(b"no command", partition=0)
                await running.send_commands(topup(here, "t", 5), wallet_id=here)
                await running.decided()
                await running.until("SELECT bool_and(published = position) FROM shards")
            await nobody_connected(running.database)
        before = await told(settings)
        assert [type(outcome) for outcome in before[:4]] == [
            Accepted,
            Accepted,
            DeadLettered,
            Accepted,
        ]
        await rolled_forward(after)
        await decide(after, topup(here, "t2", 5), wallet_id=here)
        again = await told(after)
        # the stray is sent home once more, so another record than the receipt's made the entry
        again[1] = replace(again[1], duplicate=False)
        assert again[:4] == before
        proof = await verify(after, processes=1)
        assert proof.passed, proof.findings


async def told(settings: Settings) -> list[Any]:
    """What became of the records of partition 0, in their order."""
    receipts = [
        Receipt(
            None if record.value == b"no command" else decode_command(record.value),
            record.partition,
            record.offset,
        )
        for record in await read_commands(settings)
        if record.partition == 0
    ]
    async with connection_to(settings.database_url) as connection:
        return list(await resolve_many(connection, receipts))
