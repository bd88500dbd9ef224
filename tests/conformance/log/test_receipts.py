"""What becomes of a record, and the log read back, by whoever asks from outside."""

import asyncio

import pytest

from engine import replay
from engine.errors import LeaseLostError
from engine.receipts import (
    Accepted,
    DeadLettered,
    OutcomeMissingError,
    Receipt,
    Rejected,
    resolve,
    resolve_many,
)
from engine.replay import (
    CLOCK_BEHIND,
    final_before,
    find_shard,
    read_shard,
    read_wallet,
    read_wallet_events,
    shard_sizes,
    wallet_at,
)
from engine.topology import home
from schemas.commands import AnyCommand, decode_command
from tests.conformance.log.databases import SHARDS, LogDatabase, shard_log
from tests.conformance.log.locking import transaction, until_waiting
from tests.conformance.log.writing import Writer, dead_letter, empty, forward, tip_of
from tests.support.payloads import create, debit, topup


def receipt(payload: bytes | None, offset: int, shard: int = 0) -> Receipt:
    command: AnyCommand | None = None if payload is None else decode_command(payload)
    return Receipt(command, shard, offset)


async def test_each_record_has_its_outcome(database: LogDatabase) -> None:
    payloads = [create("wal_1"), debit("wal_1", "d", 9), topup("wal_1", "d", 9)]
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = await writer.append(*payloads[:2])
        await writer.append(payloads[2], payloads[0], recorded=batch.outcomes)
        await log.append(empty(writer.tip, to_offset=5, dead_letters=[dead_letter(4)]))
    connection = await database.connect()
    receipts = [receipt(payload, offset) for offset, payload in enumerate(payloads)]
    created, refused, conflict, again, dead, undecided = await resolve_many(
        connection,
        [*receipts, receipt(payloads[0], 3), receipt(None, 4), receipt(create("wal_9"), 5)],
    )
    assert isinstance(created, Accepted)
    assert not created.duplicate
    assert isinstance(refused, Rejected)
    assert refused.rejection.code == "insufficient_funds"
    assert isinstance(conflict, Rejected)
    assert conflict.rejection.code == "reference_conflict"
    assert isinstance(again, Accepted)
    assert again.duplicate
    assert dead == DeadLettered(0, 4, "malformed_json", "no")
    assert undecided is None
    with pytest.raises(OutcomeMissingError):
        await resolve(connection, receipt(create("wal_none"), 2))
    await connection.close()


async def test_a_forwarded_record_is_followed_home(database: LogDatabase) -> None:
    payload = create("wal_1")
    async with shard_log(database, 0) as stray, shard_log(database, 1) as home_log:
        row = await stray.claim("a")
        away = empty(tip_of(row), to_offset=3, forwards=[forward(2, home=1, home_offset=0)])
        await stray.append(away)
        connection = await database.connect()
        assert await resolve(connection, receipt(payload, 2)) is None
        writer = await Writer.claiming(home_log)
        await writer.append(payload)
        outcome = await resolve(connection, receipt(payload, 2))
        assert isinstance(outcome, Accepted)
        await connection.close()


async def test_the_log_is_read_back(database: LogDatabase) -> None:
    wallet_id = next(name for name in map("wal_{}".format, range(99)) if home(name, SHARDS) == 0)
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create(wallet_id), create("wal_other"))
        await writer.append(debit(wallet_id, "d", 9), topup(wallet_id, "t", 5))
    connection = await database.connect()
    assert await find_shard(connection, wallet_id) == 0
    assert await shard_sizes(connection) == {0: 4, 1: 0}
    pages = [page async for page in read_shard(connection, 0, 1, 4, page=2)]
    assert [[row["position"] for row in page] for page in pages] == [[1, 2], [3]]
    contents = await database.contents()
    assert [tuple(row) for page in pages for row in page] == contents.log[1:]
    pages = [page async for page in read_wallet(connection, 0, wallet_id, page=2)]
    assert [[row["position"] for row in page] for page in pages] == [[0, 2], [3]]
    events = [page async for page in read_wallet_events(connection, 0, wallet_id, page=1)]
    assert [entry.version for page in events for entry in page] == [1, 2]
    created_at = contents.log[0][5]
    until = read_wallet_events(connection, 0, wallet_id, until=created_at)
    assert [entry.version async for page in until for entry in page] == [1]
    now = await wallet_at(connection, wallet_id)
    assert now is not None
    assert now.state is not None
    assert (now.state.wallet.balance, now.final) == (5, False)
    await connection.close()


async def test_what_is_final_stands_still_while_an_append_is_under_way(
    database: LogDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "FINAL_AFTER", CLOCK_BEHIND)
    connection = await database.connect()
    async with shard_log(database) as log, shard_log(database) as other:
        writer = await Writer.claiming(log)
        async with transaction(other):
            await other.claim("b")
            appending = asyncio.create_task(writer.append(create("wal_1")))
            await until_waiting(database)
            final = await final_before(connection)
            assert await final_before(connection) == final
        with pytest.raises(LeaseLostError):
            await appending
        assert await final_before(connection) > final
    await connection.close()
