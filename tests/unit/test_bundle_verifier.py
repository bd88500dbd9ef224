"""What the offline verifier says of honest bundles, whole and of a part of the time."""

import ast
import json
import subprocess
import sys
import zipfile

import pytest

from audit.bundles import VERIFIER
from audit.verify_bundle import RefusedError
from engine.decider import evolve
from schemas.instants import to_text
from tests.support.history import HistoryBuilder
from tests.support.signed_log import KEY, SignedLog, checked, zipped

MINE, THEIRS = "wal_mine", "wal_theirs"


def full_life():
    """Every kind of entry of one wallet, among those of another."""
    history = HistoryBuilder().create(MINE, credit_limit=300).create(THEIRS)
    history.topup(MINE, 1_000, reference="card").topup(THEIRS, 77_777).wait(1)
    history.credit(MINE, 500, lasts=10, priority=1).credit(MINE, 60, lasts=20).wait(1)
    history.debit(MINE, 200).debit(THEIRS, 111).debit(MINE, 10**6).wait(10)
    history.expire(MINE).wait(1).debit(MINE, 1_200).debit(THEIRS, 5).wait(1)
    history.topup(MINE, 100).credit(MINE, 400).freeze(MINE).debit(MINE, 1).wait(1)
    history.topup(MINE, 7).unfreeze(MINE).debit(THEIRS, 6).wait(1)
    return history.close(MINE).debit(MINE, 1).topup(THEIRS, 8)


@pytest.fixture(scope="module")
def history():
    return full_life()


@pytest.fixture(scope="module")
def log(history):
    return SignedLog.of(history)


def test_a_whole_history_is_proved_and_added_up(log, history, tmp_path):
    path = zipped(tmp_path / "bundle.zip", log.bundle(MINE))

    result = checked(path, log.checkpoint)

    mine = [entry for entry in history.entries if entry.wallet_id == MINE]
    assert result["proved"] is True
    assert [row["position"] for row in result["statement"]] == [e.position for e in mine]
    assert result["entries"] == result["entries_by_checkpoint"] == len(mine)
    assert (result["balance"], result["lots"], result["status"]) == (0, [], "closed")
    assert result["last_version"] == history.wallets[MINE].version


@pytest.mark.parametrize("size", range(3, len(full_life().entries) + 1))
def test_at_every_size_the_balance_and_lots_are_the_engines(size, tmp_path):
    history = full_life()
    replayed = HistoryBuilder()
    replayed.entries = history.entries[:size]
    log = SignedLog.of(replayed)

    result = checked(zipped(tmp_path / "bundle.zip", log.bundle(MINE)), log.checkpoint)

    expected = None
    for entry in replayed.entries:
        if entry.wallet_id == MINE and entry.version is not None:
            expected = evolve(expected, entry.event)
    assert result["balance"] == expected.balance
    assert result["owed"] == expected.owed
    assert result["status"] == expected.status
    assert {lot["lot"]: lot["remaining"] for lot in result["lots"]} == {
        lot.id: lot.remaining for lot in expected.lots
    }
    assert {lot["lot"]: lot["expires_at"] for lot in result["lots"]} == {
        lot.id: lot.expires_at and to_text(lot.expires_at) for lot in expected.lots
    }


def test_a_wallet_that_never_was_has_its_refusals_proved(tmp_path):
    history = HistoryBuilder().debit("wal_nobody", 5).create(THEIRS).debit("wal_nobody", 6)
    log = SignedLog.of(history)

    result = checked(zipped(tmp_path / "bundle.zip", log.bundle("wal_nobody")), log.checkpoint)

    assert [row["refused"] for row in result["statement"]] == ["debit: wallet_not_found"] * 2
    assert (result["last_version"], result["entries_by_checkpoint"]) == (0, 2)
    assert result["balance"] is None


def times(history):
    return sorted({to_text(entry.occurred_at) for entry in history.entries})


@pytest.mark.parametrize("start", [None, *times(full_life())])
@pytest.mark.parametrize("end", [None, *times(full_life())])
def test_of_any_part_of_the_time_the_changes_are_proved(log, history, start, end, tmp_path):
    if start is not None and end is not None and start >= end:
        return

    result = checked(zipped(tmp_path / "bundle.zip", log.bundle(MINE, start, end)), log.checkpoint)

    inside = [
        entry.position
        for entry in history.entries
        if entry.wallet_id == MINE and (start or "") <= to_text(entry.occurred_at) < (end or "~")
    ]
    assert [row["position"] for row in result["statement"]] == inside
    changes = [row for row in result["statement"] if row["balance"] is not None]
    if changes:
        assert result["balance"] == changes[-1]["balance"]
    unproved = " ".join(result["does_not_prove"])
    assert ("refused command" in unproved) == (start is not None or end is not None)
    assert ("first balance" in unproved) == (start is not None)
    assert (result["lots"] is None) == (start is not None)


@pytest.mark.parametrize("end", times(full_life()))
def test_the_end_of_a_time_is_what_the_wallet_was_then(log, history, end, tmp_path):
    result = checked(zipped(tmp_path / "bundle.zip", log.bundle(MINE, None, end)), log.checkpoint)

    then = None
    for entry in history.entries:
        if entry.wallet_id == MINE and entry.version and to_text(entry.occurred_at) < end:
            then = evolve(then, entry.event)
    if then is None:
        assert (result["balance"], result["currency"], result["lots"]) == (None, None, [])
        return
    assert (result["balance"], result["owed"]) == (then.balance, then.owed)
    assert result["status"] == then.status
    assert {lot["lot"]: lot["remaining"] for lot in result["lots"]} == {
        lot.id: lot.remaining for lot in then.lots
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 16, 17])
def test_trees_of_every_shape(size, tmp_path):
    history = HistoryBuilder().create(MINE)
    for number in range(size - 1):
        history.topup(f"wal_{number}" if number % 3 else MINE, 1)
    log = SignedLog.of(history)

    assert checked(zipped(tmp_path / "bundle.zip", log.bundle(MINE)), log.checkpoint)["proved"]


def test_nothing_of_another_wallet_is_in_it(log, tmp_path):
    path = zipped(tmp_path / "bundle.zip", log.bundle(MINE))

    with zipfile.ZipFile(path) as archive:
        contents = b"".join(archive.read(name) for name in archive.namelist())
    assert THEIRS.encode() not in contents
    assert b"77777" not in contents
    theirs = [data for data in log.entries if THEIRS.encode() in data]
    assert theirs
    assert not [data for data in theirs if data in contents]


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def unpacked(log, tmp_path):
    """An auditor's directory: the bundle, the program out of it, the checkpoint and the key."""
    with zipfile.ZipFile(zipped(tmp_path / "bundle.zip", log.bundle(MINE))) as archive:
        archive.extract("verify_bundle.py", tmp_path)
    (tmp_path / "checkpoint.txt").write_bytes(log.checkpoint)
    (tmp_path / "signer.pub").write_text(f"{KEY.verifier}\n")
    return tmp_path


COMMAND = ("verify_bundle.py", "bundle.zip", "--checkpoint", "checkpoint.txt", "--key")


def test_the_copy_in_the_bundle_runs_on_python_alone(unpacked):
    done = run(*COMMAND, "signer.pub", cwd=unpacked)

    assert (done.returncode, done.stderr) == (0, "")
    assert "PROVED by wallets.example.com/shard/0/log:" in done.stdout
    assert "NOT PROVED by this bundle:" in done.stdout
    assert "balance 0, in the smallest unit of GHS" in done.stdout
    assert "refused debit: insufficient_funds" in done.stdout


def test_for_programs_it_prints_json(unpacked):
    done = run(*COMMAND, str(KEY.verifier), "--json", cwd=unpacked)

    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["proved"] is True
    assert document["statement"][0]["type"] == "wallet_created"
    assert document["proves"]
    assert document["does_not_prove"]


def test_what_does_not_hold_is_said_and_the_status_is_1(unpacked):
    (unpacked / "checkpoint.txt").write_bytes(b"")

    done = run(*COMMAND, "signer.pub", cwd=unpacked)
    document = json.loads(run(*COMMAND, "signer.pub", "--json", cwd=unpacked).stdout)

    assert done.returncode == 1
    assert done.stdout == f"REFUSED: {document['reason']}\n"
    assert document["proved"] is False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no.zip", "--checkpoint", "checkpoint.txt", "--key", "signer.pub"), "no.zip"),
        (("bundle.zip", "--checkpoint", "no.txt", "--key", "signer.pub"), "no.txt"),
        (("bundle.zip", "--checkpoint", "checkpoint.txt", "--key", "no.pub"), "no.pub"),
        (("bundle.zip", "--checkpoint", "checkpoint.txt", "--key", "bundle.zip"), "no public key"),
        (("bundle.zip", "--checkpoint", "checkpoint.txt"), "--key"),
        (("bundle.zip", "--key", "signer.pub"), "--checkpoint"),
    ],
)
def test_where_nothing_can_be_checked_the_status_is_2(unpacked, arguments, said):
    done = run("verify_bundle.py", *arguments, cwd=unpacked)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_it_is_written_for_older_pythons_too():
    ast.parse(VERIFIER.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_its_help_teaches(unpacked):
    done = run("verify_bundle.py", "--help", cwd=unpacked)

    assert done.returncode == 0
    for taught in ("anywhere but the bundle", "Exit status", "--json", "It proves that"):
        assert taught in done.stdout


def test_references_can_not_steer_the_terminal(tmp_path, unpacked):
    history = HistoryBuilder().create(MINE).topup(MINE, 5, reference="\x1b[2J\u202e")
    log = SignedLog.of(history)
    zipped(tmp_path / "bundle.zip", log.bundle(MINE))
    (tmp_path / "checkpoint.txt").write_bytes(log.checkpoint)

    done = run(*COMMAND, "signer.pub", cwd=tmp_path)

    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J\\u202e" in done.stdout


def test_an_entry_that_is_no_entry_is_refused_in_words(log, tmp_path):
    files = log.bundle(MINE) | {"entries.jsonl": b"[[[[]]]]\n"}

    with pytest.raises(RefusedError, match="entry 1 of the bundle"):
        checked(zipped(tmp_path / "bundle.zip", files), log.checkpoint)


@pytest.mark.parametrize(
    ("output", "status"), [(">/dev/full", 2), (">&-", 0), (">&- 2>&-", 0), (">/dev/full 2>&-", 2)]
)
@pytest.mark.parametrize("form", ["", "--json"])
def test_a_result_that_can_not_be_printed_is_not_taken_for_a_refusal(
    output, status, form, unpacked
):
    ran = subprocess.run(
        ["sh", "-c", f'"$0" -I -S "$@" {form} {output}', sys.executable, *COMMAND, "signer.pub"],
        cwd=unpacked,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == status
    told = status == 2 and "2>" not in output
    assert ran.stderr == (
        "verify_bundle: the result can't be printed: No space left on device\n" if told else ""
    )


def test_a_file_that_is_missing_is_no_refusal_where_errors_are_not_wanted(unpacked):
    (unpacked / "bundle.zip").unlink()

    ran = subprocess.run(
        ["sh", "-c", '"$0" -I -S "$@" 2>&-', sys.executable, *COMMAND, "signer.pub"],
        cwd=unpacked,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 2
