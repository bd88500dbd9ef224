"""`wallet explain` says why, for people and for programs."""

import json

import pytest

from schemas.entries import encode_entry
from schemas.events import CommandRejected, Debited, Expired
from schemas.ids import transaction_id
from tests.support.history import HistoryBuilder
from tests.support.wallet_command import run

WALLET = "wal_a"


@pytest.fixture
async def history(migrated, connection):
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', 1)"
    )
    history = HistoryBuilder().create(WALLET).create("wal_z").topup("wal_z", 5)
    history.topup(WALLET, 500, reference="card").credit(WALLET, 200, lasts=10, reference="gift")
    history.wait(1).debit(WALLET, 50, reference="sms").wait(10).expire(WALLET)
    history.debit(WALLET, 60, reference="sms2").debit(WALLET, 600, reference="sms3")
    history.debit("wal_nobody", 5).debit(WALLET, 700, reference="sms3", metadata={"n": 1})
    await history.write(connection)
    return history


def id_of(history, kind, nth=-1):
    entry = [entry for entry in history.entries if isinstance(entry.event, kind)][nth]
    return transaction_id(entry.shard, entry.command_id)


async def test_which_lots_paid_and_where_each_came_from(migrated, history):
    done = await run(migrated, "explain", id_of(history, Debited))

    assert done.status == 0, done.err
    assert 'the debit "sms2" of 0.60 GHS' in done.out
    assert 'came from lot 2, which the top-up "card" of 5.00 GHS' in done.out
    rows = [line for line in done.out.splitlines() if "txn_" in line and "accepted" not in line]
    assert len(rows) == 2
    assert "\x1b" not in done.out


async def test_why_a_debit_was_refused_as_json(migrated, history):
    done = await run(migrated, "explain", id_of(history, CommandRejected, 0), "--json")

    assert done.status == 0, done.err
    explained = done.document
    assert "insufficient_funds" in explained["conclusion"]
    chain = explained["chain"]
    assert [link["entry"]["event"]["type"] for link in chain] == [
        "wallet_created",
        "credited",
        "expired",
        "debited",
        "command_rejected",
    ]
    cited = {position for reason in explained["reasons"] for position in reason["positions"]}
    assert cited == {link["entry"]["position"] for link in chain}


async def test_the_chain_holds_the_entries_own_bytes(migrated, history):
    done = await run(migrated, "explain", id_of(history, Expired), "--json")

    by_position = {entry.position: encode_entry(entry) for entry in history.entries}
    assert done.status == 0, done.err
    for link in done.document["chain"]:
        own = by_position[link["entry"]["position"]]
        assert json.loads(own) == link["entry"]
        assert own.decode() in done.out
        again = await run(migrated, "explain", link["transaction_id"], "--json")
        assert again.document["subject"] == link["transaction_id"]


async def test_a_wallet_is_explained_by_its_balance_and_its_last_refusal(migrated, history):
    done = await run(migrated, "explain", WALLET)
    document = (await run(migrated, "explain", WALLET, "--json")).document

    assert done.status == 0, done.err
    assert document["balance"]["conclusion"] == "the balance is 4.40 GHS"
    assert "the balance is 4.40 GHS" in done.out
    assert "reference_conflict" in document["last_refusal"]["conclusion"]
    assert document["last_refusal"]["conclusion"] in done.out


async def test_a_wallet_without_refusals(migrated, history):
    document = (await run(migrated, "explain", "wal_z", "--json")).document

    assert document["last_refusal"] is None
    assert document["balance"]["conclusion"] == "the balance is 0.05 GHS"


async def test_a_wallet_that_was_only_asked_for(migrated, history):
    done = await run(migrated, "explain", "wal_nobody", "--json")

    assert done.document["balance"] is None
    assert "wallet_not_found" in done.document["last_refusal"]["conclusion"]


@pytest.mark.parametrize("nth", [0, 1, 2])
async def test_a_refusal_is_found_by_its_place_and_by_its_reference(migrated, history, nth):
    """The API tells callers no transaction id of what it refused, and they know their reference."""
    refusals = [entry for entry in history.entries if isinstance(entry.event, CommandRejected)]
    entry = refusals[nth]
    place = f"{entry.shard}:{entry.position}"
    by_id = await run(migrated, "explain", id_of(history, CommandRejected, nth), "--json")
    by_place = await run(migrated, "explain", place, "--json")

    assert by_id.status == by_place.status == 0, by_place.err
    assert by_id.document["chain"][-1]["entry"]["position"] == entry.position
    assert by_place.document == by_id.document
    if entry.event.code != "reference_conflict":
        reference = entry.event.command.reference
        named = await run(migrated, "explain", entry.wallet_id, "--reference", reference, "--json")
        assert named.document == by_id.document


async def test_the_reference_of_a_conflict_is_that_of_the_first_command(migrated, history):
    done = await run(migrated, "explain", WALLET, "--reference", "sms3", "--json")

    assert done.status == 0, done.err
    assert "insufficient_funds" in done.document["conclusion"]


async def test_what_the_log_prints_names_what_explain_takes(migrated, history):
    done = await run(migrated, "log", WALLET)

    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert len(lines) == len([entry for entry in history.entries if entry.wallet_id == WALLET])
    for line in lines[-2:]:
        place, transaction = line.split()[0], next(p for p in line.split() if p[:4] == "txn_")
        by_place = await run(migrated, "explain", place, "--json")
        assert by_place.document["subject"] == transaction


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((WALLET, "--reference", "never"), 1),
        (("wal_unknown", "--reference", "sms"), 1),
        (("0:0", "--reference", "sms"), 2),
        (("txn_" + "0" * 36, "--reference", "sms"), 2),
    ],
)
async def test_a_reference_needs_its_wallet_and_an_outcome(migrated, history, arguments, status):
    done = await run(migrated, "explain", *arguments)

    assert (done.status, done.out, len(done.err.splitlines())) == (status, "", 1)


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        ("0:9999", 1),
        ("7:0", 1),
        ("0:", 2),
        ("0:-1", 2),
        ("9999999999:0", 2),
        ("wal_unknown", 1),
        ("txn_" + "0" * 36, 1),
        ("txn_0", 1),
        ("nonsense", 2),
        ("wal_?", 2),
    ],
)
async def test_what_there_is_not_is_one_line(migrated, history, subject, status):
    done = await run(migrated, "explain", subject)

    assert (done.status, done.out, len(done.err.splitlines())) == (status, "", 1)


async def test_before_the_first_engine_there_is_nothing_to_explain(migrated):
    done = await run(migrated, "explain", WALLET)

    assert (done.status, len(done.err.splitlines())) == (1, 1)
