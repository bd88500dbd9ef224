"""`wallet send`: every good line arrives once, at home, in order; every bad one is named."""

import asyncio
import json
import signal
from collections import defaultdict

import pytest

from engine.topology import home
from schemas.ids import parse_transaction_id
from tests.support.topics import read_commands
from tests.support.wallet_command import finish, run, start

PARTITIONS = 4


def opened(wallet="wal_a"):
    return {
        "type": "create_wallet",
        "wallet_id": wallet,
        "reference": "open",
        "merchant_id": "mch_1",
        "environment": "live",
        "customer_id": "cus_1",
        "currency": "GHS",
    }


def topup(reference, amount=100, wallet="wal_a"):
    return {"type": "topup", "wallet_id": wallet, "reference": reference, "amount": amount}


def debit(reference, amount, wallet="wal_a"):
    return {"type": "debit", "wallet_id": wallet, "reference": reference, "amount": amount}


@pytest.fixture
def send(tmp_path):
    async def send(settings, *commands, options=()):
        file = tmp_path / "usage.jsonl"
        file.write_bytes(lines(*commands).removesuffix(b"\n"))
        return await run(settings, "send", str(file), *options)

    return send


def lines(*commands):
    return b"".join(
        (command if isinstance(command, bytes) else json.dumps(command).encode()) + b"\n"
        for command in commands
    )


async def test_lines_arrive_at_their_wallets_home_in_their_order(with_topics, send):
    commands = [topup(f"r{i}", i + 1, f"wal_{i % 20}") for i in range(3_000)]

    done = await send(with_topics, *commands, options=["--json"])

    assert done.status == 0, done.err
    assert done.document["sent"] == 3_000
    assert done.document["bad"] == 0
    sent = defaultdict(list)
    arrived = defaultdict(list)
    for command in commands:
        sent[command["wallet_id"]].append(command)
    for record in await read_commands(with_topics):
        command = json.loads(record.value)
        assert record.key.decode() == command["wallet_id"]
        assert record.partition == home(command["wallet_id"], PARTITIONS)
        arrived[command["wallet_id"]].append(command)
    assert arrived == sent


async def test_bad_lines_are_named_and_left_out_and_the_rest_goes_on(with_topics, send):
    text = [topup("r1"), b"nonsense", b"", topup("r2", 0), b"  ", topup("r3")]

    done = await send(with_topics, *text)

    assert done.status == 1
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["line 2", "line 4"]
    assert "malformed_json" in done.err
    assert "$.amount" in done.err
    assert {
        json.loads(record.value)["reference"] for record in await read_commands(with_topics)
    } == {
        "r1",
        "r3",
    }


async def test_raw_sends_lines_as_they_stand(with_topics, send):
    raw = [b"nonsense", b' {"wallet_id":"wal_a"}\t', b"\xff\xfe", b'{"wallet_id":"w\\u00e9"}']

    done = await send(with_topics, *raw, options=["--raw"])

    assert done.status == 0, done.err
    found = {record.value: record for record in await read_commands(with_topics)}
    assert set(found) == set(raw)
    assert found[raw[0]].key is None
    assert found[raw[1]].key == b"wal_a"
    assert found[raw[1]].partition == home("wal_a", PARTITIONS)
    assert found[raw[3]].key == "wé".encode()


async def test_wait_prints_each_outcome_in_the_order_of_the_lines(running, send):
    commands = [
        opened(),
        topup("t1", 1000),
        debit("d1", 300),
        debit("d2", 5000),
        debit("d1", 300),
        debit("d1", 301),
        debit("x1", 1, "wal_nobody"),
        *(topup(f"n{i}", 1, f"wal_{i}") for i in range(100)),
        {"type": "freeze", "wallet_id": "wal_a", "reference": "f1"},
    ]

    done = await send(running, *commands, options=["--wait"])

    assert done.status == 0, done.err
    outcomes = done.documents
    assert [outcome["line"] for outcome in outcomes] == list(range(1, len(commands) + 1))
    assert [outcome["reference"] for outcome in outcomes] == [c["reference"] for c in commands]
    told = [(o["outcome"], o.get("code"), o["duplicate"]) for o in outcomes]
    assert told[:7] == [
        ("accepted", None, False),
        ("accepted", None, False),
        ("accepted", None, False),
        ("rejected", "insufficient_funds", False),
        ("accepted", None, True),
        ("rejected", "reference_conflict", False),
        ("rejected", "wallet_not_found", False),
    ]
    assert outcomes[2]["transaction"] == outcomes[4]["transaction"]
    assert outcomes[2]["balance_after"] == 700
    for refused in (outcomes[3], outcomes[5], outcomes[6]):
        shard, command_id = parse_transaction_id(refused["transaction"])
        assert (shard, len(command_id)) == (refused["partition"], 16)
    assert outcomes[2]["type"] == "debit"
    assert "transaction" not in outcomes[-1]


async def test_wait_tells_dead_letters_with_their_reason(running, send):
    raw = [opened(), b"nonsense", debit("d", -1)]

    done = await send(running, *raw, options=["--raw", "--wait"])

    assert done.status == 0, done.err
    assert [outcome["outcome"] for outcome in done.documents] == [
        "accepted",
        "dead_letter",
        "dead_letter",
    ]
    assert [outcome.get("code") for outcome in done.documents[1:]] == [
        "malformed_json",
        "invalid_command",
    ]


async def test_standard_input_is_a_stream(running):
    process = await start(running, "send", "-", "--wait")
    try:
        for number in range(3):
            process.stdin.write(lines(topup(f"s{number}", wallet="wal_stream")))
            async with asyncio.timeout(30):
                outcome = json.loads(await process.stdout.readline())
            assert outcome["line"] == number + 1
            assert outcome["code"] == "wallet_not_found"
    finally:
        done = await finish(process)
    assert done.status == 0


async def test_no_outcome_in_time_is_an_error_that_says_where_the_line_stands(with_topics, send):
    done = await send(with_topics, topup("r1"), options=["--wait", "--timeout", "1"])

    assert done.status == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert f"{home('wal_a', PARTITIONS)}:0" in done.err


async def test_a_topic_that_is_missing_is_one_line_that_says_how_to_get_it(migrated, send):
    done = await send(migrated, topup("r1"))

    assert done.status == 1
    assert len(done.err.splitlines()) == 1
    assert migrated.commands_topic in done.err
    assert "wallet migrate --topics" in done.err


async def test_ctrl_c_ends_it_at_once_and_quietly(with_topics):
    process = await start(with_topics, "send", "-")
    process.stdin.write(lines(topup("r1")))
    async with asyncio.timeout(30):
        while not await read_commands(with_topics):
            pass
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        await process.wait()

    done = await finish(process)

    assert done.status == 130
    assert "Traceback" not in done.err
