"""`wallet dead-letters`: what was set aside is listed, shown, and settled once."""

import asyncio
import time
from base64 import b64decode

import pytest

from engine.topology import home
from tests.support.topics import read_commands
from tests.support.wallet_command import finish, run, start

PARTITIONS = 4
COMMAND = b'{"type":"freeze","wallet_id":"wal_a","reference":"f1"}'
HOME = home("wal_a", PARTITIONS)


@pytest.fixture
async def letters(connection):
    """0:7 was a good command, 1:3 has no value, 2:5 is no text, 3:1 is settled."""
    rows = [
        (0, 7, "decider_failed", b"wal_x", COMMAND, "open"),
        (1, 3, "null_value", b"wal_y", None, "open"),
        (2, 5, "malformed_json", b"\xff", b"\xfe\xff", "open"),
        (3, 1, "malformed_json", None, b"old", "discarded"),
    ]
    await connection.executemany(
        'INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at, key, payload,'
        " status, settled_at) VALUES ($1, $2, $3, 'why', now(), $4, $5, $6,"
        " CASE WHEN $6 = 'open' THEN NULL ELSE now() END)",
        rows,
    )


async def until(connection, question, *arguments):
    deadline = time.monotonic() + 30
    while not await connection.fetchval(question, *arguments):
        assert time.monotonic() < deadline, question
        await asyncio.sleep(0.05)


def status_of(connection, shard):
    return connection.fetchval("SELECT status FROM dead_letters WHERE shard = $1", shard)


async def test_list_has_the_open_ones_and_all_if_asked(migrated, letters):
    open_ones = await run(migrated, "dead-letters", "list", "--json")
    everything = await run(migrated, "dead-letters", "list", "--all", "--json")
    readable = await run(migrated, "dead-letters", "list")

    assert [(d["shard"], d["offset"]) for d in open_ones.documents] == [(0, 7), (1, 3), (2, 5)]
    assert everything.documents[-1]["status"] == "discarded"
    assert "0:7" in readable.out
    assert "decider_failed" in readable.out


async def test_an_empty_list_says_so(migrated):
    assert "no open dead letters" in (await run(migrated, "dead-letters", "list")).out
    assert (await run(migrated, "dead-letters", "list", "--json")).out == ""


async def test_show_has_all_bytes(migrated, letters):
    text = await run(migrated, "dead-letters", "show", "0:7", "--json")
    binary = await run(migrated, "dead-letters", "show", "2:5", "--json")
    empty = await run(migrated, "dead-letters", "show", "1:3", "--json")
    readable = [await run(migrated, "dead-letters", "show", at) for at in ("0:7", "1:3", "2:5")]

    assert text.document["text"] == COMMAND.decode()
    assert b64decode(text.document["payload"]) == COMMAND
    assert b64decode(binary.document["payload"]) == b"\xfe\xff"
    assert binary.document["text"] is None
    assert empty.document["payload"] is None
    assert COMMAND.decode() in readable[0].out
    assert "no value" in readable[1].out
    assert "/v8=" in readable[2].out


async def test_retry_sends_the_same_bytes_home_and_settles(with_topics, letters, connection):
    done = await run(with_topics, "dead-letters", "retry", "0:7", "--json")

    assert done.status == 0, done.err
    assert done.document == {
        "shard": 0,
        "offset": 7,
        "status": "retried",
        "sent_to": f"{HOME}:0",
    }
    (record,) = await read_commands(with_topics)
    assert (record.value, record.key, record.partition) == (COMMAND, b"wal_a", HOME)
    assert await status_of(connection, 0) == "retried"


async def test_retry_of_what_is_no_command_keeps_its_key(with_topics, letters):
    done = await run(with_topics, "dead-letters", "retry", "2:5")

    assert done.status == 0, done.err
    (record,) = await read_commands(with_topics)
    assert (record.value, record.key) == (b"\xfe\xff", b"\xff")


async def test_two_retries_at_once_send_one_record(with_topics, letters, connection):
    async with connection.transaction():
        await connection.execute("SELECT FROM dead_letters FOR UPDATE")
        started = [await start(with_topics, "dead-letters", "retry", "0:7") for _ in range(2)]
        await until(connection, "SELECT 2 = (SELECT count(*) FROM pg_locks WHERE NOT granted)")
    both = [await finish(process) for process in started]

    assert sorted(done.status for done in both) == [0, 1]
    assert len(await read_commands(with_topics)) == 1


@pytest.mark.parametrize("action", ["retry", "discard"])
async def test_what_is_settled_stays_so(with_topics, letters, connection, action):
    done = await run(with_topics, "dead-letters", action, "3:1")

    assert done.status == 1
    assert "discarded" in done.err
    assert len(done.err.splitlines()) == 1
    assert await read_commands(with_topics) == []


async def test_discard_settles_and_sends_nothing(with_topics, letters, connection):
    done = await run(with_topics, "dead-letters", "discard", "0:7")

    assert done.status == 0, done.err
    assert await status_of(connection, 0) == "discarded"
    assert await read_commands(with_topics) == []


async def test_a_tombstone_can_only_be_discarded(with_topics, letters, connection):
    retried = await run(with_topics, "dead-letters", "retry", "1:3")
    assert (retried.status, await status_of(connection, 1)) == (1, "open")
    assert "discard" in retried.err

    discarded = await run(with_topics, "dead-letters", "discard", "1:3")
    assert (discarded.status, await status_of(connection, 1)) == (0, "discarded")


async def test_what_could_not_be_sent_stays_open(migrated, letters, connection):
    done = await run(migrated, "dead-letters", "retry", "0:7")  # there is no topic

    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert await status_of(connection, 0) == "open"


@pytest.mark.parametrize("action", ["show", "retry", "discard"])
async def test_a_place_without_a_dead_letter_is_one_line(migrated, letters, action):
    done = await run(migrated, "dead-letters", action, "0:8")

    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "0:8" in done.err


async def test_a_retried_record_is_decided_like_any_other(running, connection, tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b'{"wallet_id":"wal_a"}\n')
    raw = await run(running, "send", "--raw", "--wait", str(file))
    place = "{partition}:{offset}".format(**raw.document)

    done = await run(running, "dead-letters", "retry", place, "--json")

    assert done.status == 0, done.err
    shard, _, offset = done.document["sent_to"].partition(":")
    again = 'SELECT EXISTS (SELECT FROM dead_letters WHERE shard = $1 AND "offset" = $2)'
    await until(connection, again, int(shard), int(offset))
