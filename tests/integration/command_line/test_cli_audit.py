"""`wallet audit` puts one wallet's history into a file that proves itself to somebody else."""

import asyncio
import json
import subprocess
import sys
import zipfile

import asyncpg
import pytest

from audit.keys import read_key
from audit.verify_bundle import RefusedError
from engine.settings import Settings
from schemas.entries import encode_entry
from schemas.events import Debited
from schemas.instants import to_text
from tests.support.proven import Proven, busy_history
from tests.support.signed_log import checked
from tests.support.wallet_command import run

NAME = "wallets.example.com"
MINE, THEIRS = "wal_s0n1", "wal_s0n2"


@pytest.fixture
async def proven(migrated: Settings, connection: asyncpg.Connection) -> Proven:
    proven = await Proven.write(connection, busy_history(rounds=20))
    await connection.execute(
        "INSERT INTO topology (commands_topic, events_topic, partitions) VALUES ('c', 'e', 1)"
    )
    return proven


@pytest.fixture
async def auditor(proven, migrated, tmp_path):
    """What an auditor holds: a checkpoint and a verifier key."""
    secret = tmp_path / "wallet.key"
    await run(migrated, "checkpoint", "--new-key", str(secret), "--name", NAME)
    await sign(migrated, secret, tmp_path / "checkpoint.txt")
    (tmp_path / "signer.pub").write_text(str(read_key(secret).verifier))
    return tmp_path


async def sign(settings, secret, path):
    done = await run(settings, "checkpoint", "--key", str(secret), "-o", str(path))
    assert done.status == 0, done.err


async def audit(settings, directory, wallet, *more):
    arguments = ("--checkpoint", str(directory / "checkpoint.txt"), "-o")
    return await run(settings, "audit", wallet, *arguments, str(directory / "bundle.zip"), *more)


def check(directory):
    key = (directory / "signer.pub").read_text()
    return checked(directory / "bundle.zip", (directory / "checkpoint.txt").read_bytes(), key)


async def test_the_whole_history_is_bundled_and_proved(proven, auditor, migrated):
    done = await audit(migrated, auditor, MINE, "--json")

    assert done.status == 0, done.err
    mine = [entry for entry in proven.history.entries if entry.wallet_id == MINE]
    result = check(auditor)
    assert [row["position"] for row in result["statement"]] == [e.position for e in mine]
    assert result["balance"] == proven.history.wallets[MINE].balance
    assert done.document["entries"] == done.document["wallet_entries"] == len(mine)
    assert done.document["last_version"] == proven.history.wallets[MINE].version
    assert done.document["checkpoint_entries"] == len(proven.history.entries)


async def test_it_says_how_to_check_it_and_that_works(auditor, migrated):
    done = await audit(migrated, auditor, MINE)

    assert done.status == 0, done.err
    command = done.out.splitlines()[-1].split()
    assert command[:2] == ["python", "verify_bundle.py"]
    with zipfile.ZipFile(auditor / "bundle.zip") as archive:
        archive.extract("verify_bundle.py", auditor)
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-I", "-S", *command[1:-1], "signer.pub"],
        cwd=auditor,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "none was left out" in ran.stdout


async def test_no_byte_of_another_wallet_is_in_it(proven, auditor, migrated):
    await audit(migrated, auditor, MINE)

    with zipfile.ZipFile(auditor / "bundle.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    mine = [encode_entry(e) for e in proven.history.entries if e.wallet_id == MINE]
    assert files["entries.jsonl"] == b"".join(data + b"\n" for data in mine)
    contents = b"".join(files.values())
    for wallet in [*proven.history.wallets, "wal_unknown"]:
        assert (wallet.encode() in contents) == (wallet == MINE), wallet
    # the rest is digests: 32 bytes each, of which nothing can be read
    for text in files["proofs.jsonl"].splitlines():
        assert all(len(sibling) == 44 for sibling in json.loads(text))


async def test_the_same_bundle_twice_is_the_same_file(auditor, migrated):
    await audit(migrated, auditor, MINE)
    first = (auditor / "bundle.zip").read_bytes()
    await audit(migrated, auditor, MINE)

    assert (auditor / "bundle.zip").read_bytes() == first


async def test_a_part_of_the_time(proven, auditor, migrated):
    entries = proven.history.entries
    start, end = (entries[len(entries) * third // 3].occurred_at for third in (1, 2))

    told = ("--from", to_text(start), "--to", to_text(end))
    done = await audit(migrated, auditor, MINE, *told, "--json")

    assert done.status == 0, done.err
    result = check(auditor)
    inside = [
        entry.position
        for entry in entries
        if entry.wallet_id == MINE and start <= entry.occurred_at < end
    ]
    assert len(inside) > 20
    assert [row["position"] for row in result["statement"]] == inside
    assert (result["from"], result["to"]) == (to_text(start), to_text(end))


async def test_a_time_without_entries(proven, auditor, migrated):
    done = await audit(migrated, auditor, MINE, "--from", "2999-01-01T00:00:00Z")

    assert done.status == 0, done.err
    assert check(auditor)["statement"] == []


async def test_for_an_older_checkpoint_of_which_no_tree_is_kept(
    proven, auditor, migrated, connection
):
    size = len(proven.history.entries)
    for _ in range(9):
        proven.history.topup(MINE, 1)
        await proven.history.write(connection)
        await sign(migrated, auditor / "wallet.key", auditor / "newer.txt")
    kept = await connection.fetch("SELECT size FROM wallet_trees")
    assert size not in [row["size"] for row in kept]

    done = await audit(migrated, auditor, MINE, "--json")

    assert done.status == 0, done.err
    assert done.document["checkpoint_entries"] == size
    assert check(auditor)["checkpoint"]["entries"] == size


async def test_a_bundle_is_not_good_for_another_checkpoint(proven, auditor, migrated, connection):
    await audit(migrated, auditor, MINE)
    await proven.history.topup(MINE, 1).write(connection)
    await sign(migrated, auditor / "wallet.key", auditor / "checkpoint.txt")

    with pytest.raises(RefusedError, match="ask for a bundle for this checkpoint"):
        check(auditor)


@pytest.mark.parametrize("wallet", ["wal_nobody"])
async def test_an_unknown_wallet_is_one_line_and_no_file(auditor, migrated, wallet):
    done = await audit(migrated, auditor, wallet)

    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert wallet in done.err
    assert not (auditor / "bundle.zip").exists()


async def test_without_a_checkpoint_it_says_how_to_get_one(auditor, migrated):
    (auditor / "checkpoint.txt").unlink()

    done = await audit(migrated, auditor, MINE)

    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "`wallet checkpoint`" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "yesterday"),
        ("--from", "2026-05-02T00:00:00Z", "--to", "2026-05-01T00:00:00Z"),
    ],
)
async def test_times_that_can_not_be_meant(auditor, migrated, arguments):
    done = await audit(migrated, auditor, MINE, *arguments)

    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert "--from" in done.err


async def put_in(proven, wallet_id):
    """Another wallet's entry is given out as this one's by its column, which is not hashed."""
    position = proven.position_of(Debited)
    entry = await proven.entry(position)
    assert entry.wallet_id != wallet_id
    await proven.tamper(
        "UPDATE log SET wallet_id = $3, version = 100000 WHERE shard = $1 AND position = $2",
        0,
        position,
        wallet_id,
    )


async def exchanged(proven, wallet_id):
    """As before, and the other way round: every wallet has as many entries as it had."""
    mine = next(e for e in proven.history.entries if e.wallet_id == wallet_id and e.version)
    theirs = next(e for e in proven.history.entries if e.wallet_id == THEIRS and e.version)
    put = "UPDATE log SET wallet_id = $3, version = $4 WHERE shard = $1 AND position = $2"
    await proven.tamper(put, 0, mine.position, THEIRS, None)
    await proven.tamper(put, 0, theirs.position, wallet_id, mine.version)
    await proven.tamper(put, 0, mine.position, THEIRS, theirs.version)


async def changed_account(proven, wallet_id):
    await proven.tamper("UPDATE wallet_trees SET root = sha256(root)")


async def changed(proven, wallet_id):
    position = next(
        e.position
        for e in proven.history.entries
        if e.wallet_id == wallet_id and isinstance(e.event, Debited)
    )
    await proven.edit_entry(position, description="another")


async def nested(proven, wallet_id):
    await proven.tamper(
        """UPDATE log SET data = convert_to('{"x":' || repeat('[', 100000), 'UTF8')"""
        " WHERE wallet_id = $1 AND version = 2",
        wallet_id,
    )


async def dropped(proven, wallet_id):
    await proven.tamper(
        "DELETE FROM log WHERE position ="
        " (SELECT max(position) FROM log WHERE wallet_id = $1 AND type = 'debited')",
        wallet_id,
    )


async def cut(proven, wallet_id):
    await proven.tamper("UPDATE shards SET position = position - 1 WHERE shard = 0")


async def spoilt_tiles(proven, wallet_id):
    await proven.tamper("UPDATE tiles SET hashes = decode(repeat('00', 32 * 256), 'hex')")


@pytest.mark.parametrize(
    "tampering",
    [put_in, exchanged, changed, nested, changed_account, dropped, cut, spoilt_tiles],
)
async def test_a_log_that_was_changed_is_not_bundled(proven, auditor, migrated, tampering):
    await tampering(proven, MINE)

    done = await audit(migrated, auditor, MINE)

    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "are not those of the checkpoint" in done.err or "lost history" in done.err
    assert not (auditor / "bundle.zip").exists()


async def test_what_was_there_before_stays_if_there_is_no_new_bundle(proven, auditor, migrated):
    (auditor / "bundle.zip").write_bytes(b"before")
    await changed(proven, MINE)

    await audit(migrated, auditor, MINE)

    assert (auditor / "bundle.zip").read_bytes() == b"before"
    assert not list(auditor.glob(".bundle.zip*"))
