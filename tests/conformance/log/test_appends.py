"""What one append writes, all of it or nothing, and what the tables refuse."""

from datetime import timedelta
from typing import Any

import pytest

from engine.errors import AlreadyRecordedError, DataRefusedError
from engine.log import Append
from schemas.entries import SCHEMA_VERSION
from schemas.instants import utc_now
from tests.conformance.log.databases import LogDatabase, shard_log
from tests.conformance.log.writing import Writer, dead_letter, empty, forward
from tests.support.payloads import create, credit, debit, topup


async def test_everything_moves_together(database: LogDatabase) -> None:
    soon = utc_now() + timedelta(seconds=60)
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        batch = writer.decide(
            create("wal_1"),
            credit("wal_1", "c", 5, expires_at=soon.isoformat()),
            debit("wal_2", "d", 5),
            b"{",
        )
        batch.append.forwards = [forward(3)]
        batch.append.published = 0
        await log.append(batch.append)
    contents = await database.contents()
    append = batch.append
    assert contents.shard | {"owner": None, "epoch": 0} == {
        "shard": 0,
        "owner": None,
        "epoch": 0,
        "next_offset": 4,
        "last_record": append.last_record,
        "position": 3,
        "published": 0,
        "tree": append.frontier.to_bytes(),
        "last_at": append.now,
        "schema_version": SCHEMA_VERSION,
        "halted": None,
    }
    assert contents.log == [
        (0, "wal_1", 1, append.command_ids[0], "wallet_created", append.now, append.data[0]),
        (1, "wal_1", 2, append.command_ids[1], "credited", append.now, append.data[1]),
        (2, "wal_2", None, append.command_ids[2], "command_rejected", append.now, append.data[2]),
    ]
    assert contents.due == [(soon, "wal_1")]
    [letter] = contents.dead_letters
    assert letter[:2] == (3, "malformed_json")
    assert letter[3:] == (append.now, None, b"{", False)
    assert contents.forwards == [(3, 1, 7)]


async def test_published_never_goes_back(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"), create("wal_2"))
        for published, expected in ((1, 1), (0, 1), (2, 2)):
            await log.append(empty(writer.tip, published=published))
            assert (await database.contents()).shard["published"] == expected


async def test_what_runs_out_is_kept_once_and_taken_out(database: LogDatabase) -> None:
    at, later = (utc_now() + timedelta(seconds=seconds) for seconds in (1, 2))
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await log.append(empty(writer.tip, due_added={(at, "wal_1"), (later, "wal_1")}))
        await log.append(empty(writer.tip, due_added={(at, "wal_1"), (at, "wal_2")}))
        assert (await database.contents()).due == [(at, "wal_1"), (at, "wal_2"), (later, "wal_1")]
        await log.append(
            empty(
                writer.tip,
                due_removed=[(at, "wal_1"), (at, "wal_9"), (later, "wal_2")],
                due_added={(later, "wal_3")},
            )
        )
    assert (await database.contents()).due == [(at, "wal_2"), (later, "wal_1"), (later, "wal_3")]


def _double_command(append: Append) -> None:
    append.command_ids[1] = append.command_ids[0]


def _recorded_command(append: Append) -> None:
    append.command_ids[1] = b"recorded"


def _double_version(append: Append) -> None:
    append.wallet_ids[1], append.versions[1] = append.wallet_ids[0], append.versions[0]


def _recorded_version(append: Append) -> None:
    append.wallet_ids[1], append.versions[1] = "wal_0", 1


def _version_before_command(append: Append) -> None:
    _double_version(append)
    _double_command(append)


def _first_row_first(append: Append) -> None:
    append.command_ids[0] = b"recorded"
    _recorded_version(append)


@pytest.mark.parametrize(
    ("spoil", "constraint"),
    [
        (_double_command, "log_command_once"),
        (_recorded_command, "log_command_once"),
        (_double_version, "log_version_once"),
        (_recorded_version, "log_version_once"),
        (_version_before_command, "log_version_once"),
        (_first_row_first, "log_command_once"),
    ],
)
async def test_the_log_refuses_what_it_has(
    database: LogDatabase, spoil: Any, constraint: str
) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        first = writer.decide(create("wal_0"))
        first.append.command_ids[0] = b"recorded"
        await log.append(first.append)
        writer.moved(first)
        batch = writer.decide(create("wal_1"), create("wal_2"))
        spoil(batch.append)
        before = await database.contents()
        with pytest.raises(DataRefusedError) as caught:
            await log.append(batch.append)
        assert isinstance(caught.value, AlreadyRecordedError)
        cause: Any = caught.value.__cause__
        assert (cause.sqlstate, cause.constraint_name) == ("23505", constraint)
        assert cause.table_name == "log"
        assert await database.contents() == before
        await writer.append(create("wal_1"), create("wal_2"))


async def test_refusals_share_a_wallet_without_a_version(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(*(debit("wal_1", f"d{number}", 1) for number in range(3)))
        await writer.append(debit("wal_1", "d9", 1))
    assert [row[2] for row in (await database.contents()).log] == [None] * 4


async def test_a_command_id_is_unique_in_its_shard_only(database: LogDatabase) -> None:
    async with shard_log(database, 0) as first, shard_log(database, 1) as second:
        for log in (first, second):
            writer = await Writer.claiming(log)
            await writer.append(create("wal_1"))
    assert len((await database.contents(1)).log) == 1


@pytest.mark.parametrize(
    ("changes", "sqlstate"),
    [
        ({"dead_letters": [dead_letter(0), dead_letter(0)]}, "23505"),
        ({"dead_letters": [dead_letter(7)]}, "23505"),
        ({"forwards": [forward(1), forward(1)]}, "23505"),
        ({"forwards": [forward(7)]}, "23505"),
        ({"dead_letters": [dead_letter(0, detail="nul: \0")]}, "22021"),
        ({"dead_letters": [dead_letter(0, reason="\0")]}, "22021"),
    ],
)
async def test_the_other_tables_refuse_too(
    database: LogDatabase, changes: dict[str, Any], sqlstate: str
) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        seven = {"dead_letters": [dead_letter(7)], "forwards": [forward(7)]}
        await log.append(empty(writer.tip, **seven))
        before = await database.contents()
        batch = writer.decide(create("wal_1"))
        for name, value in changes.items():
            setattr(batch.append, name, value)
        with pytest.raises(DataRefusedError) as caught:
            await log.append(batch.append)
        cause: Any = caught.value.__cause__
        assert cause.sqlstate == sqlstate
        assert await database.contents() == before
        await writer.append(create("wal_1"))


async def test_a_batch_without_entries_moves_the_offset(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        await writer.append(create("wal_1"))
        await log.append(empty(writer.tip, to_offset=5, last_record=b"r"))
    row = (await database.contents()).shard
    assert (row["next_offset"], row["position"], row["last_record"]) == (5, 1, b"r")


async def test_money_moves_through_a_life_of_a_wallet(database: LogDatabase) -> None:
    async with shard_log(database) as log:
        writer = await Writer.claiming(log)
        for payload in (create("wal_1"), topup("wal_1", "t", 500), debit("wal_1", "d", 20)):
            await writer.append(payload)
        loaded = (await log.load_wallets(["wal_1"]))["wal_1"]
    assert loaded.wallet == writer.wallets["wal_1"]
    assert loaded.wallet is not None
    assert loaded.wallet.balance == 480
