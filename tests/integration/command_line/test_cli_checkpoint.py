"""`wallet checkpoint` makes keys and signed files, once or on a schedule."""

import asyncio
import signal
import stat

import asyncpg
import pytest

from audit.checkpoint_files import load_checkpoints
from audit.keys import VerifierKey, read_key
from engine.settings import Settings
from schemas.events import Debited
from tests.support.history import HistoryBuilder
from tests.support.polling import poll
from tests.support.proven import Proven, busy_history
from tests.support.wallet_command import finish, run, start

NAME = "wallets.example.com"


@pytest.fixture
async def proven(migrated: Settings, connection: asyncpg.Connection) -> Proven:
    return await Proven.write(connection, busy_history(rounds=3))


@pytest.fixture
async def key(migrated, tmp_path):
    path = tmp_path / "wallet.key"
    done = await run(migrated, "checkpoint", "--new-key", str(path), "--name", NAME)
    assert done.status == 0, done.err
    return path


async def test_a_new_key_is_its_owners_alone_and_its_verifier_key_is_printed(migrated, tmp_path):
    path = tmp_path / "wallet.key"
    done = await run(migrated, "checkpoint", "--new-key", str(path), "--name", NAME)
    assert (done.status, done.out) == (0, f"{read_key(path).verifier}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() not in done.err
    again = await run(migrated, "checkpoint", "--new-key", str(path), "--name", NAME)
    assert again.status == 1
    assert "name another file" in again.err
    shown = await run(migrated, "checkpoint", "--key", str(path), "--verifier-key")
    assert (shown.status, shown.out, shown.err) == (0, done.out, "")
    document = (
        await run(migrated, "checkpoint", "--key", str(path), "--verifier-key", "--json")
    ).document
    assert document == {"file": str(path), "verifier_key": done.out.strip()}
    assert set(tmp_path.iterdir()) == {path}


@pytest.mark.parametrize(
    ("content", "said"), [(None, "(No such file or directory)"), (b"\xff", "(it is no text)")]
)
async def test_a_key_that_can_not_be_read_is_said_without_jargon(
    migrated, tmp_path, content, said
):
    path = tmp_path / "wallet.key"
    if content is not None:
        path.write_bytes(content)
    signing = await run(migrated, "checkpoint", "--key", str(path))
    verifying = await run(
        migrated, "verify", "--checkpoint", "checkpoint.txt", "--verifier-key", str(path)
    )
    for done, what in ((signing, "signing"), (verifying, "verifier")):
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert f"The {what} key {path} can't be read {said}: " in done.err


async def test_a_file_is_signed_and_the_ones_before_are_kept(proven, migrated, key, tmp_path):
    file = tmp_path / "checkpoint.txt"
    done = await run(migrated, "checkpoint", "--key", str(key), "-o", str(file), "--json")
    assert done.status == 0, done.err
    verifier = VerifierKey.parse(done.document["verifier_key"])
    (first,) = load_checkpoints(file, verifier)
    assert first.size == len(proven.history.entries)
    assert done.document["shards"] == [
        {
            "shard": 0,
            "size": first.size,
            "log_root": first.log_root.hex(),
            "wallets": first.wallets,
            "wallets_root": first.wallets_root.hex(),
        }
    ]
    nothing = await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))
    assert nothing.out == "Nothing has been added since the last checkpoint.\n"
    await Proven.write(proven.database, busy_history(shard=1, rounds=1))
    again = await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))
    assert again.status == 0, again.err
    assert [shard.shard for shard in load_checkpoints(file, verifier)] == [0, 1]
    dated = sorted(set(tmp_path.glob("checkpoint.*.txt")))
    assert [len(load_checkpoints(path, verifier)) for path in dated] == [1, 2]
    assert dated[1].read_bytes() == file.read_bytes()
    assert set(tmp_path.iterdir()) == {key, file, *dated}


async def test_another_history_than_the_one_in_the_file_is_not_signed(
    proven, migrated, key, tmp_path
):
    file = tmp_path / "checkpoint.txt"
    assert (await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))).status == 0
    signed = file.read_bytes()
    await proven.edit_entry(proven.position_of(Debited), amount=1)
    await proven.cover_up_tree()
    for missing in (None, file):
        # the newest of the dated files counts as well
        if missing is not None:
            missing.unlink()
        done = await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))
        assert done.status == 1
        assert "Nothing was signed" in done.err
        assert done.err.count("\n") == 1
    assert [path.read_bytes() for path in tmp_path.glob("checkpoint*.txt")] == [signed]


async def test_another_key_does_not_go_on_from_the_file(proven, migrated, key, tmp_path):
    file, other = tmp_path / "checkpoint.txt", tmp_path / "other.key"
    assert (await run(migrated, "checkpoint", "--key", str(key), "-o", str(file))).status == 0
    await run(migrated, "checkpoint", "--new-key", str(other), "--name", NAME)
    done = await run(migrated, "checkpoint", "--key", str(other), "-o", str(file))
    assert done.status == 1
    assert "not by" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--new-key", "x"],
        ["--key", "x", "--new-key", "y", "--name", "z"],
        ["--new-key", "y", "--name", "z", "--verifier-key"],
        ["--verifier-key"],
        ["--key", "{key}", "--every", "0s"],
        ["--key", "{key}", "--every", "soon"],
    ],
)
async def test_arguments_that_do_not_go_together(migrated, key, tmp_path, arguments):
    told = [argument.replace("{key}", str(key)) for argument in arguments]
    done = await run(migrated, "checkpoint", *told)
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert set(tmp_path.iterdir()) == {key}


async def test_on_a_schedule_until_it_is_told_to_end(proven, migrated, key, tmp_path):
    file = tmp_path / "checkpoint.txt"
    process = await start(
        migrated, "checkpoint", "--key", str(key), "-o", str(file), "--every", "1s"
    )
    verifier = read_key(key).verifier
    await poll(file.exists)
    size = load_checkpoints(file, verifier)[0].size
    added = HistoryBuilder(3).create("wal_new")
    await Proven.write(proven.database, added)

    def both() -> bool:
        return len(load_checkpoints(file, verifier)) == 2

    await poll(both)
    process.send_signal(signal.SIGTERM)
    done = await finish(process)
    assert done.status == 0, done.err
    assert load_checkpoints(file, verifier)[0].size == size
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


async def test_a_schedule_outlives_the_database(proven, migrated, key, tmp_path):
    file = tmp_path / "checkpoint.txt"
    away = migrated.model_copy(update={"database_url": "postgresql://wallet@127.0.0.1:1/wallet"})
    process = await start(away, "checkpoint", "--key", str(key), "-o", str(file), "--every", "1s")
    lines = []
    async with asyncio.timeout(30):
        while len(lines) < 2:
            lines.append(await process.stderr.readline())
    assert all(b"the next try is in" in line for line in lines)
    process.send_signal(signal.SIGTERM)
    assert (await finish(process)).status == 0
    assert not file.exists()
