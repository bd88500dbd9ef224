"""`wallet verify` says what holds and what does not, and its exit status says the same."""

import asyncio
import re
import time
from pathlib import Path

import asyncpg
import pytest

from engine.settings import Settings
from schemas.events import Debited
from tests.support.proven import Proven, busy_history
from tests.support.wallet_command import run

_ALL_CLAIMED = "SELECT count(*) > 0 AND bool_and(lease IS NOT NULL) FROM shards"


@pytest.fixture
async def proven(migrated: Settings, connection: asyncpg.Connection) -> Proven:
    return await Proven.write(connection, busy_history(rounds=3))


async def test_a_proof_is_shown_with_its_books_and_roots(proven, migrated):
    done = await run(migrated, "verify", "--no-kafka")
    assert done.status == 0, done.out
    assert done.out.splitlines()[-1] == "PASS: everything above holds."
    assert "FAIL" not in done.out
    proof = (await run(migrated, "verify", "--no-kafka", "--json")).document
    assert proof["passed"] is True
    for check in proof["checks"]:
        assert check["claim"] in done.out
        assert check["failed"] == 0
    assert proof["shards"][0]["root"] in done.out
    came_in = {line["currency"]: line["topped_up"] + line["credited"] for line in proof["books"]}
    # each in its own minor unit
    assert f" {came_in['GHS'] / 100:,.2f} " in done.out
    assert f" {came_in['JPY']:,} " in done.out
    assert f" {came_in['KWD'] / 1000:,.3f} " in done.out


async def test_the_first_bad_entry_is_named_and_the_status_is_1(proven, migrated):
    position = proven.position_of(Debited)
    await proven.edit_entry(position, amount=1)
    done = await run(migrated, "verify", "--no-kafka")
    assert done.status == 1
    assert done.out.splitlines()[-1].startswith(f"FAIL: first, shard 0, position {position}: ")
    json = await run(migrated, "verify", "--no-kafka", "--json")
    assert json.status == 1
    assert json.document["passed"] is False
    assert json.document["first"]["position"] == position


async def test_one_shard_alone(proven, migrated):
    await Proven.write(proven.database, busy_history(shard=1, rounds=1))
    await proven.tamper("DELETE FROM log WHERE shard = 1 AND position = 3")
    assert (await run(migrated, "verify", "--no-kafka", "--shard", "0")).status == 0
    assert (await run(migrated, "verify", "--no-kafka", "--shard", "1")).status == 1
    unknown = await run(migrated, "verify", "--no-kafka", "--shard", "7")
    assert unknown.status == 1
    assert unknown.err == "wallet: There is no shard 7; there are 0, 1.\n"


@pytest.fixture
async def signed(proven, migrated, tmp_path) -> tuple[str, ...]:
    """What the auditor has: the options that name the file and the key."""
    key, file = tmp_path / "wallet.key", tmp_path / "checkpoint.txt"
    made = await run(migrated, "checkpoint", "--new-key", str(key), "--name", "w.example")
    done = await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))
    assert done.status == 0, done.err
    return "--checkpoint", str(file), "--verifier-key", made.out.strip()


async def test_a_log_that_has_only_grown_since_a_checkpoint_passes(proven, migrated, signed):
    await Proven.write(proven.database, busy_history(shard=1, rounds=1))
    done = await run(migrated, "verify", "--no-kafka", *signed)
    assert done.status == 0, done.out
    assert re.search(
        r"^PASS +1 +the log begins with what signed checkpoints say", done.out, re.MULTILINE
    )
    assert re.search(r"^PASS +21 +the trees of wallets, signed or kept", done.out, re.MULTILINE)
    assert f"{signed[1]} says nothing of shard 1" in done.out


async def test_history_that_was_rewritten_since_is_found(proven, migrated, signed):
    position = proven.position_of(Debited)
    await proven.edit_entry(position, description="something else")
    await proven.cover_up()
    done = await run(migrated, "verify", "--no-kafka", *signed, "--json")
    assert done.status == 1
    (check,) = [c for c in done.document["checks"] if c["name"] == "checkpoint"]
    assert check["failed"] == 1
    assert "history was rewritten" in check["findings"][0]["message"]


async def test_a_checkpoint_that_is_not_the_keys_proves_nothing(migrated, signed, tmp_path):
    _, file, _, key = signed
    other = await run(
        migrated, "checkpoint", "--new-key", str(tmp_path / "other"), "--name", "w.example"
    )
    changed = tmp_path / "changed.txt"
    text = await asyncio.to_thread(Path(file).read_text)
    changed.write_text(text.replace("/shard/0/log\n", "/shard/1/log\n", 1))
    for arguments, said in [
        (("--checkpoint", file, "--verifier-key", other.out.strip()), "and not by"),
        (("--checkpoint", str(changed), "--verifier-key", key), "signed by"),
        (("--checkpoint", str(tmp_path / "none"), "--verifier-key", key), "can't be read"),
        (("--checkpoint", file, "--verifier-key", key[:-3]), "no Ed25519 key"),
    ]:
        done = await run(migrated, "verify", "--no-kafka", *arguments)
        assert (done.status, done.out, done.err.count("\n")) == (1, "", 1), done.err
        assert said in done.err


async def test_a_checkpoint_is_not_believed_without_a_key(migrated, signed):
    for arguments in (signed[:2], signed[2:]):
        done = await run(migrated, "verify", "--no-kafka", *arguments)
        assert done.status == 2
        assert "go together" in done.err


async def test_what_a_real_engine_leaves_behind_passes_with_its_topics(running, connection):
    """Nothing has been sent yet, so the topics are empty and there is one shard a partition."""
    deadline = time.monotonic() + 30
    while not await connection.fetchval(_ALL_CLAIMED):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    done = await run(running, "verify", "--json")
    assert done.status == 0, done.out
    assert {"commands_topic", "events_topic"} <= {c["name"] for c in done.document["checks"]}
    assert len(done.document["shards"]) == running.partitions


async def test_topics_that_cannot_be_reached_prove_nothing(proven, migrated, connection):
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('a', 'b', 1)"
    )
    away = migrated.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    done = await run(away, "verify")
    assert (done.status, done.out) == (1, "")
    assert "--no-kafka" in done.err
    assert done.err.count("\n") == 1


async def test_a_database_without_tables_is_said_so(settings):
    done = await run(settings, "verify", "--no-kafka")
    assert done.status == 1
    assert "wallet migrate" in done.err
