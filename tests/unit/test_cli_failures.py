"""What goes wrong is one line and an exit status, and never a traceback."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app

COMMANDS = [
    ["engine"],
    ["projector"],
    ["api"],
    ["dev", "--data-dir", "never-made"],
    ["send", "commands.jsonl"],
    ["show", "wal_a"],
    ["transactions", "wal_a"],
    ["log"],
    ["explain", "wal_a"],
    ["explain", "0:1"],
    ["status"],
    ["verify"],
    ["audit", "wal_a", "-o", "bundle.zip"],
    ["migrate"],
    ["rebuild"],
    ["roll-forward"],
    ["dead-letters", "list"],
    ["dead-letters", "show", "0:0"],
    ["dead-letters", "retry", "0:0"],
    ["dead-letters", "discard", "0:0"],
    ["merchants", "create", "Ama's Messages"],
    ["merchants", "list"],
    ["keys", "create", "mch_1", "--environment", "live", "--label", "tests"],
    ["keys", "list", "mch_1"],
    ["keys", "roll", "3fa9c0d1e2b4"],
    ["keys", "revoke", "3fa9c0d1e2b4"],
]
SECRET_KEY = "a-secret-key-that-only-tests-have"
MADE = ["keys", "create", "mch_1", "--environment", "live", "--label", "tests"]
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
NEED_DATABASE = [
    command for command in COMMANDS if command[0] not in {"engine", "projector", "api", "dev"}
]
NEED_DATABASE.remove(["send", "commands.jsonl"])


@pytest.fixture(autouse=True)
def commands_file(tmp_path, monkeypatch):
    (tmp_path / "commands.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # bound and not listening: it refuses, and nobody else can take it
        yield listener.getsockname()[1]


def run(*arguments, **environment):
    told = {"WALLET_SECRET_KEYS": SECRET_KEY} | environment
    return CliRunner(env=told).invoke(app, arguments)


def names(command):
    return " ".join(command)


@pytest.mark.parametrize("command", COMMANDS, ids=names)
def test_a_bad_setting_is_one_line_and_exit_status_2(command, tmp_path):
    result = run(*command, WALLET_PARTITIONS="many")

    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "WALLET_PARTITIONS" in result.stderr
    assert "many" in result.stderr
    assert not (tmp_path / "never-made").exists()


@pytest.mark.parametrize("command", NEED_DATABASE, ids=names)
def test_a_database_that_is_away_is_one_line_that_names_it(command, closed_port):
    url = f"postgresql://wallet:s3cret@127.0.0.1:{closed_port}/money"

    result = run(*command, WALLET_DATABASE_URL=url)

    assert result.exit_code == 1, result.output
    assert len(result.stderr.splitlines()) == 1
    assert f"127.0.0.1:{closed_port}/money" in result.stderr
    assert "WALLET_DATABASE_URL" in result.stderr
    assert "wallet dev" in result.stderr
    assert "Errno" not in result.stderr
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    "command", [["api", "--port", "0"], MADE, ["keys", "roll", "3fa9c0d1e2b4"]], ids=names
)
@pytest.mark.parametrize("keys", ["", " , ", "short", f"{SECRET_KEY},short", "ü" * 40])
def test_without_good_secret_keys_it_says_how_to_make_one(command, keys, closed_port):
    url = f"postgresql://wallet@127.0.0.1:{closed_port}/money"

    result = run(*command, WALLET_SECRET_KEYS=keys, WALLET_DATABASE_URL=url)

    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert "WALLET_SECRET_KEYS" in result.stderr
    assert "secrets.token_hex(32)" in result.stderr
    assert SECRET_KEY not in result.output
    assert "ü" not in result.output


def test_a_url_that_can_not_be_read_is_not_shown():
    result = run("status", WALLET_DATABASE_URL="postgresql://wallet:s3cret/word@127.0.0.1/wallet")

    assert result.exit_code == 2, result.output
    assert "s3cret" not in result.output


def test_a_kafka_that_is_away_is_one_line_that_names_it(closed_port):
    result = run("send", "commands.jsonl", WALLET_KAFKA_BOOTSTRAP=f"127.0.0.1:{closed_port}")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert f"127.0.0.1:{closed_port}" in result.stderr
    assert "WALLET_KAFKA_BOOTSTRAP" in result.stderr


@pytest.mark.parametrize(
    "url", ["mysql://127.0.0.1/wallet", "postgresql://127.0.0.1:port/wallet", "127.0.0.1"]
)
def test_a_url_that_is_none_is_a_bad_setting(url):
    result = run("status", WALLET_DATABASE_URL=url)

    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert "WALLET_DATABASE_URL" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["show", "wallet-1"], "wallet-1"),
        (["transactions", "wal_a b"], "wal_a b"),
        (["log", "cus_1"], "cus_1"),
        (["explain", "cus_1"], "neither a transaction"),
        (["explain", "3:x"], "SHARD:POSITION"),
        (["explain", "wal_a b"], "wal_a b"),
        (["log", "wal_a", "--shard", "1"], "--shard"),
        (["show", "wal_a", "--at", "yesterday"], "yesterday"),
        (["show", "wal_a", "--at", "2026-05-24T10:00:00"], "zone"),
        (["dead-letters", "show", "3"], "SHARD:OFFSET"),
        (["dead-letters", "retry", "3:-1"], "SHARD:OFFSET"),
        (["dead-letters", "discard", "x:1"], "SHARD:OFFSET"),
        (["send", "nowhere.jsonl"], "nowhere.jsonl"),
        (["send", "."], "directory"),
        (["merchants", "create", " "], "NAME"),
        (["merchants", "create", "Ama", "--currency", "cedi"], "cedi"),
        (["merchants", "create", "Ama", "--currency", "XAU"], "XAU"),
        (["keys", "create", "mch_1", "--environment", "prod", "--label", "x"], "sandbox or live"),
        (["keys", "create", "mch_1", "--environment", "live", "--label", "a\nb"], "--label"),
        ([*MADE, "--scope", "credits"], "credits:write"),
        ([*MADE, "--scope", "credits:read", "--scope", "all"], "'all'"),
        ([*MADE, "--expires", "2027-01-31"], "--expires"),
        ([*MADE, "--expires", "2020-01-31T00:00:00Z"], "is over"),
        ([*MADE, "--allow", "office"], "CIDR"),
        ([*MADE, "--allow", "203.0.113.7/24"], "203.0.113.0/24"),
        (["keys", "roll", "mch_1"], "client id"),
        (["keys", "revoke", "3FA9C0D1E2B4"], "client id"),
        (["keys", "roll", "3fa9c0d1e2b4", "--overlap", "tomorrow"], "24h"),
        (["keys", "roll", "3fa9c0d1e2b4", "--overlap", "91d"], "90d"),
    ],
)
def test_an_argument_that_makes_no_sense_is_one_line_and_exit_status_2(arguments, named):
    result = run(*arguments)

    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


def test_text_from_outside_does_not_steer_the_terminal():
    result = run("show", "wal_\x1b[2J")

    assert "\x1b" not in result.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly():
    """More is printed than a pipe holds, to a reader that has left."""
    script = (
        "from cli.app import app\n"
        "from cli.output import say\n"
        "@app.command()\n"
        "def flood():\n"
        "    for _ in range(100_000): say('a line')\n"
        "app(['flood'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BUFFERED,
    )
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=30) == 1
    assert errors == b""


def test_what_is_still_in_the_buffer_at_the_end_is_no_traceback_either():
    script = (
        "from cli.app import app\n"
        "from cli.output import say\n"
        "@app.command()\n"
        "def whisper():\n"
        "    input()\n"
        "    say('a line')\n"
        "app(['whisper'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=BUFFERED,
    )
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert process.wait(timeout=30) == 1
    assert errors == b""


PRINTS = (
    "from cli.app import app\n"
    "from cli.main import main\n"
    "from cli.output import print_table, say\n"
    "@app.command()\n"
    "def tell(how: str):\n"
    "    for _ in range(10_000 if how == 'much' else 1):\n"
    "        print_table(['a'], [['b']]) if how == 'table' else say('a line')\n"
    "main()\n"
)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("how", ["little", "much", "table"])
def test_output_that_can_not_be_written_is_one_line(how, unbuffered):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PRINTS, "tell", how],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )

    assert done.returncode == 1
    assert done.stderr == (
        "wallet: standard output can't be written (No space left on device): what was printed"
        " is not whole\n"
    )


@pytest.mark.parametrize("how", ["little", "table"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&- <&-"])
def test_whoever_closes_a_stream_gets_the_exit_status_alone(how, closed):
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" tell {how} {closed}', sys.executable, PRINTS],
        capture_output=True,
        check=False,
        env=BUFFERED,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (">&-" not in closed.split())
