"""`wallet show`, `transactions`, `log` and `status` tell what is in the log."""

import asyncio
import json
import os
from datetime import timedelta

import pytest

from engine.topology import home
from schemas.entries import encode_entry
from schemas.instants import to_text
from tests.support.history import START, HistoryBuilder
from tests.support.wallet_command import finish, run, start

PARTITIONS = 4
WALLET = "wal_a"
HOME = home(WALLET, PARTITIONS)


@pytest.fixture
async def started(migrated, connection):
    """As an engine's first start leaves the database."""
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ($1, $2, $3)",
        migrated.commands_topic,
        migrated.events_topic,
        PARTITIONS,
    )
    await connection.execute(
        "INSERT INTO shards (shard) SELECT generate_series(0, $1::integer - 1)", PARTITIONS
    )
    return migrated


@pytest.fixture
async def history(started, connection):
    """200 topped up, 70 taken, a credit of 30 that lasts from the 2nd to the 12th second."""
    history = HistoryBuilder(HOME).create(WALLET).wait(1)
    history.topup(WALLET, 200, reference="t1", description="card").wait(1)
    history.credit(WALLET, 30, lasts=10, reference="c1").wait(1)
    history.debit(WALLET, 70, reference="d1").debit(WALLET, 7_000, reference="d2").wait(20)
    history.expire(WALLET)
    await history.write(connection)
    return history


def at(seconds):
    return to_text(START + timedelta(seconds=seconds))


async def test_show_is_the_state_now(started, history):
    done = await run(started, "show", WALLET, "--json")

    assert done.status == 0, done.err
    shown = done.document
    assert shown["balance"] == 160
    assert shown["balance_formatted"] == "1.60 GHS"
    assert shown["status"] == "active"
    assert [lot["remaining"] for lot in shown["lots"]] == [160]
    assert shown["final"] is False


@pytest.mark.parametrize(
    ("seconds", "balance"), [(0, 0), (1, 200), (2, 230), (3, 160), (12, 160), (30, 160)]
)
async def test_show_at_a_time_is_the_state_then_and_final(started, history, seconds, balance):
    done = await run(started, "show", WALLET, "--at", at(seconds), "--json")

    assert done.status == 0, done.err
    assert (done.document["balance"], done.document["final"]) == (balance, True)
    assert done.document["at"] == at(seconds)


async def test_show_is_readable(started, history):
    done = await run(started, "show", WALLET)

    assert "1.60 GHS" in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "wal_nobody"),
        ("show", WALLET, "--at", at(-1)),
        ("transactions", "wal_nobody"),
        ("log", "wal_nobody"),
    ],
)
async def test_an_unknown_wallet_is_one_line(started, history, arguments):
    done = await run(started, *arguments)

    assert done.status == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert arguments[1] in done.err


async def test_before_the_first_engine_every_wallet_is_unknown(migrated):
    for command in ("show", "transactions", "log"):
        done = await run(migrated, command, WALLET)
        assert (done.status, len(done.err.splitlines())) == (1, 1)


async def test_a_database_without_tables_says_how_to_get_them(settings):
    for command in ("show", "transactions", "log"):
        done = await run(settings, command, WALLET)
        assert (done.status, len(done.err.splitlines())) == (1, 1)
        assert "wallet migrate" in done.err


async def test_transactions_are_told_in_their_order(started, history):
    done = await run(started, "transactions", WALLET, "--json")

    assert done.status == 0, done.err
    told = [(t["type"], t["amount"], t["balance_after"], t["reference"]) for t in done.documents]
    assert told == [
        ("topup", 200, 200, "t1"),
        ("credit", 30, 230, "c1"),
        ("debit", 70, 160, "d1"),
    ]
    assert done.documents[1]["expires_at"] == at(12)
    assert "expires_at" not in done.documents[0]


async def test_an_expiry_is_a_transaction(started, connection):
    history = HistoryBuilder(HOME).create(WALLET).credit(WALLET, 30, lasts=10).wait(10)
    await history.expire(WALLET).write(connection)

    done = await run(started, "transactions", WALLET, "--type", "expiry", "--json")

    assert [(t["type"], t["amount"], t["reference"]) for t in done.documents] == [
        ("expiry", 30, None)
    ]


async def test_transactions_can_be_the_last_or_of_one_type(started, history):
    last = await run(started, "transactions", WALLET, "--limit", "2", "--json")
    topups = await run(started, "transactions", WALLET, "--type", "topup")

    assert [t["type"] for t in last.documents] == ["credit", "debit"]
    assert "2.00 GHS" in topups.out
    assert "credit" not in topups.out


async def test_a_wallet_without_transactions_is_not_unknown(started, connection):
    await HistoryBuilder(HOME).create(WALLET).write(connection)

    done = await run(started, "transactions", WALLET)

    assert done.status == 0
    assert done.err == ""


async def test_log_gives_the_entries_own_bytes(started, history):
    done = await run(started, "log", WALLET, "--json")

    assert done.status == 0, done.err
    assert done.out.encode().splitlines() == [encode_entry(entry) for entry in history.entries]


async def test_log_of_a_shard_begins_where_it_is_told(started, connection, history):
    other = HistoryBuilder((HOME + 1) % PARTITIONS).create("wal_z")
    await other.topup("wal_z", 1).topup("wal_z", 2).topup("wal_z", 3).write(connection)

    done = await run(started, "log", "--shard", str(HOME), "--from", "3", "--json")

    assert [(entry["shard"], entry["position"]) for entry in done.documents] == [
        (HOME, 3),
        (HOME, 4),
    ]


async def test_log_without_a_wallet_is_every_shard(started, connection, history):
    other = HistoryBuilder((HOME + 1) % PARTITIONS).create("wal_z")
    await other.write(connection)

    done = await run(started, "log")

    assert len(done.out.splitlines()) == len(history.entries) + 1
    assert "command_rejected" in done.out


async def test_log_of_a_shard_that_is_not_there_is_one_line(started, history):
    done = await run(started, "log", "--shard", "4")

    assert (done.status, len(done.err.splitlines())) == (2, 1)


async def _line_of(process):
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    return line.rstrip()


@pytest.mark.parametrize("arguments", [(), (WALLET,), ("--shard", str(HOME))])
async def test_log_follows_what_comes_until_ctrl_c(started, connection, history, arguments):
    process = await start(started, "log", *arguments, "--follow", "--json")
    try:
        async with asyncio.timeout(30):
            for entry in history.entries:
                assert await _line_of(process) == encode_entry(entry)
            for amount in range(3):
                await history.topup(WALLET, amount + 1).write(connection)
                entry = json.loads(await _line_of(process))
                assert entry["event"]["amount"] == amount + 1
        process.send_signal(2)
    finally:
        done = await finish(process)
    assert done.status == 130
    assert done.out == ""
    assert done.err == ""


async def test_a_broken_pipe_is_not_blamed_on_the_database(started, connection):
    history = HistoryBuilder(HOME).create(WALLET)
    for _ in range(3_000):
        history.topup(WALLET, 1)
    await history.write(connection)
    reader, writer = os.pipe()
    process = await start(started, "log", "--json", stdout=writer)
    os.close(writer)
    os.read(reader, 100)
    os.close(reader)

    done = await finish(process)

    assert (done.status, done.err) == (1, "")


async def test_status_tells_each_shard(with_topics, started, connection, history):
    await connection.execute(
        "UPDATE shards SET owner = 'host:1', epoch = 3, published = 2, halted = 'broken: mend it'"
        " WHERE shard = $1",
        HOME,
    )

    done = await run(started, "status", "--json")
    readable = await run(started, "status")

    assert done.status == 0, done.err
    assert [shard["shard"] for shard in done.document["shards"]] == list(range(PARTITIONS))
    shard = done.document["shards"][HOME]
    size = len(history.entries)
    assert (shard["owner"], shard["epoch"], shard["halted"]) == ("host:1", 3, "broken: mend it")
    assert (shard["position"], shard["published"], shard["unpublished"]) == (size, 2, size - 2)
    assert (shard["next_offset"], shard["end_offset"]) == (history.next_offset, 0)
    assert shard["projection_lag"] == size
    assert set(shard["models"]) == {"wallets", "transactions", "lots", "postings"}
    assert "broken: mend it" in readable.out


async def test_status_works_while_kafka_is_away(started, history):
    away = started.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})

    done = await run(away, "status", "--json")
    readable = await run(away, "status")

    assert done.status == 0
    assert "127.0.0.1:1" in done.err
    assert done.document["shards"][HOME]["lag"] is None
    assert done.document["shards"][HOME]["position"] == len(history.entries)
    assert "unknown" in readable.out


async def test_status_counts_what_waits_to_be_decided(with_topics, started, tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b"a\nb\nc\nd\ne\nf\n")
    await run(with_topics, "send", "--raw", str(file))

    done = await run(with_topics, "status", "--json")

    assert sum(shard["lag"] for shard in done.document["shards"]) == 6


async def test_status_names_who_owns_a_shard_and_what_was_set_aside(running, tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b"a\nb\nc\nd\ne\nf\n")
    await run(running, "send", "--raw", "--wait", str(file))

    done = await run(running, "status", "--json")

    shards = done.document["shards"]
    assert sum(shard["open_dead_letters"] for shard in shards) == 6
    assert {shard["lag"] for shard in shards if shard["next_offset"]} == {0}
    assert any(shard["owner"] for shard in shards)


async def test_status_of_a_database_without_engines(migrated):
    done = await run(migrated, "status")

    assert done.status == 0
    assert "No engine" in done.out
