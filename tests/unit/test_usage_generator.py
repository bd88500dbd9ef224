"""The example commands: the same every time, and of every kind that the demo is to show."""

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples import generate
from schemas.commands import (
    AnyCommand,
    Close,
    CreateWallet,
    Credit,
    Debit,
    Freeze,
    InvalidCommandError,
    Unfreeze,
    decode_command,
)

START = datetime(2031, 5, 24, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return generate.generate(START)


@pytest.fixture(scope="module")
def commands(lines: list[bytes]) -> list[AnyCommand]:
    return [command for line in lines if (command := _decoded(line)) is not None]


def _decoded(line: bytes) -> AnyCommand | None:
    try:
        return decode_command(line)
    except InvalidCommandError:
        return None


def test_the_same_start_gives_the_same_bytes(lines):
    assert generate.generate(START) == lines


def test_another_start_changes_nothing_but_expires_at(lines):
    def without_expiry(line: bytes) -> object:
        if _decoded(line) is None:
            return line
        return json.loads(line) | {"expires_at": None}

    later = generate.generate(START + timedelta(days=40))
    assert later != lines
    assert list(map(without_expiry, later)) == list(map(without_expiry, lines))


def test_another_seed_gives_other_commands(lines):
    assert generate.generate(START, seed=1) != lines


def test_there_are_enough_commands_on_enough_wallets(commands):
    opened = {command.wallet_id for command in commands if isinstance(command, CreateWallet)}
    assert len({(command.wallet_id, command.reference) for command in commands}) >= 20_000
    assert len(opened) == 500


def test_a_smaller_file_has_what_was_asked_for():
    small = [
        command
        for line in generate.generate(START, 3_000, 100)
        if (command := _decoded(line)) is not None
    ]
    assert 3_000 <= len(small) < 3_200


def test_every_kind_of_command_is_there(commands):
    kinds = Counter(type(command).__name__ for command in commands)
    assert kinds.keys() == {
        "CreateWallet",
        "Debit",
        "Credit",
        "TopUp",
        "Freeze",
        "Unfreeze",
        "Close",
    }
    assert min(kinds.values()) >= 20


def test_wallets_are_of_two_merchants_in_five_currencies(commands):
    created = [command for command in commands if isinstance(command, CreateWallet)]
    assert len({command.merchant_id for command in created}) == 2
    assert {command.currency for command in created} == {"GHS", "NGN", "USD", "JPY", "KWD"}
    assert {command.environment for command in created} == {"sandbox", "live"}


def test_credits_run_out_soon_and_late_and_never(commands):
    credits_ = [command for command in commands if isinstance(command, Credit)]
    ends = [command.expires_at for command in credits_ if command.expires_at is not None]
    soon = [end for end in ends if START < end < START + timedelta(seconds=30)]
    assert min(soon) >= START + timedelta(seconds=generate.SOON_S)
    assert len(soon) >= 100
    assert sum(end > START + timedelta(days=1) for end in ends) >= 100
    assert sum(end <= START for end in ends) >= 10
    assert sum(command.expires_at is None for command in credits_) >= 50
    assert len({command.priority for command in credits_}) >= 5


def test_duplicates_come_near_and_far(lines):
    places: dict[bytes, list[int]] = {}
    for place, line in enumerate(lines):
        places.setdefault(line, []).append(place)
    distances = [seen[-1] - seen[0] for seen in places.values() if len(seen) > 1]
    assert len(distances) >= 200
    assert min(distances) < 5
    assert max(distances) > len(lines) // 4


def test_references_are_used_twice_with_another_amount(commands):
    amounts: dict[tuple[str, str], set[int]] = {}
    for command in commands:
        if isinstance(command, Debit):
            amounts.setdefault((command.wallet_id, command.reference), set()).add(command.amount)
    assert sum(len(seen) > 1 for seen in amounts.values()) >= 50


def test_the_rules_are_broken_in_every_way(commands):
    owner: dict[str, CreateWallet] = {}
    status: dict[str, str] = {}
    broken: Counter[str] = Counter()
    for command in commands:
        wallet = owner.get(command.wallet_id)
        if isinstance(command, CreateWallet):
            broken["wallet exists"] += wallet is not None
            owner.setdefault(command.wallet_id, command)
            continue
        if wallet is None:
            broken["wallet not found"] += 1
            continue
        now = status.get(command.wallet_id, "active")
        broken["foreign"] += command.merchant_id not in (None, wallet.merchant_id)
        broken["currency"] += getattr(command, "currency", None) not in (None, wallet.currency)
        broken["overdraft"] += isinstance(command, Debit) and command.amount >= 10**9
        broken["debit when frozen"] += isinstance(command, Debit) and now == "frozen"
        broken["debit when closed"] += isinstance(command, Debit) and now == "closed"
        broken["frozen twice"] += isinstance(command, Freeze) and now == "frozen"
        broken["not frozen"] += isinstance(command, Unfreeze) and now == "active"
        if isinstance(command, Freeze | Unfreeze | Close) and now != "closed":
            status[command.wallet_id] = {
                Freeze: "frozen",
                Unfreeze: "active",
                Close: "closed",
            }[type(command)]
    assert len(broken) == 9
    assert min(broken.values()) >= 5, broken


def test_lines_that_are_no_command_fail_for_every_reason(lines):
    reasons: Counter[str] = Counter()
    details = set()
    for line in lines:
        try:
            decode_command(line)
        except InvalidCommandError as error:
            reasons[error.reason] += 1
            details.add(str(error).partition(" - at")[0])
    assert reasons.keys() == {"malformed_json", "invalid_command", "payload_too_large"}
    assert len(details) >= 25


def test_the_script_writes_the_file(tmp_path, lines):
    target = tmp_path / "usage.jsonl"
    script = Path(generate.__file__)
    subprocess.run(
        [sys.executable, script, "-o", target, "--start", START.isoformat()], check=True
    )
    assert target.read_bytes().split(b"\n") == [*lines, b""]
