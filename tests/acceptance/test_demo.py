"""`wallet demo` as a newcomer runs it: every step is there, all is proven, and nothing is left."""

import asyncio
import os
import re
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from projections.verification import CHECKS

_STARTED_S = 60
_FINISHED_S = 200
_STOPPED_S = 30
# the demo has no checkpoint to hold the log against
_OF_CHECKPOINTS = {"checkpoint"}


class Demo:
    """A running demo with a directory for temporary files of its own."""

    def __init__(self, process: Process, directory: Path, marker: str) -> None:
        self.process = process
        self.directory = directory
        self.said = ""
        self._marker = marker.encode()

    async def says(self, text: str, timeout_s: float) -> str:
        """Read on until a line has this in it; the line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while line := (await self.process.stdout.readline()).decode():
                self.said += line
                if text in line:
                    return line
        raise AssertionError(f"it ended without saying {text!r}:\n{self.said}")

    async def ends(self) -> int:
        assert self.process.stdout is not None
        async with asyncio.timeout(_STOPPED_S):
            self.said += (await self.process.stdout.read()).decode()
            return await self.process.wait()

    def left(self) -> list[str]:
        """What runs or lies around when all should be gone."""
        return [*self.left_running(), *map(str, self.directory.iterdir())]

    def left_running(self) -> list[str]:
        """Processes that the demo started, or that use its files."""
        return [
            (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            for directory in Path("/proc").iterdir()
            if directory.name.isdigit() and self._is_ours(directory)
        ]

    def _is_ours(self, directory: Path) -> bool:
        try:
            known = (directory / "environ").read_bytes() + (directory / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        return self._marker in known or os.fsencode(self.directory) in known


@asynccontextmanager
async def demo(directory: Path, *arguments: str) -> AsyncIterator[Demo]:
    marker = uuid.uuid4().hex
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli.main", "demo", *arguments),
        env={**os.environ, "TMPDIR": str(directory), "DEMO_MARKER": marker},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield Demo(process, directory, marker)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    # PostgreSQL's user has to get there as well
    tmp_path.chmod(0o755)
    return tmp_path


@pytest.mark.timeout(_STARTED_S + _FINISHED_S + _STOPPED_S)
async def test_the_demo_shows_everything_and_proves_it(directory: Path) -> None:
    async with demo(directory, "--keep") as running:
        await running.says("Everything stays up until Ctrl-C", _STARTED_S + _FINISHED_S)
        said = running.said
        for step in range(1, 6):
            assert re.search(rf"^{step}\. ", said, re.MULTILINE), step
        _assert_killed_in_time(said)
        _assert_outcomes(said)
        _assert_proven(said)
        await _assert_answers(said)
        assert running.left_running()
        running.process.send_signal(signal.SIGINT)
        assert await running.ends() == 0, running.said
        assert running.left() == []


def _assert_killed_in_time(said: str) -> None:
    killed = re.search(r"SIGKILL while ([\d,]+) of ([\d,]+) commands were undecided", said)
    assert killed, said
    undecided, total = (int(number.replace(",", "")) for number in killed.groups())
    assert total >= 20_000
    assert undecided * 5 >= total


def _assert_outcomes(said: str) -> None:
    table = said.partition("4. ")[2].partition("Statement")[0]
    rows = re.findall(
        r"^ +(accepted|rejected|repeated|dead letter) +(.+?) +([\d,]+) *$", table, re.MULTILINE
    )
    counts = {(outcome, name): int(count.replace(",", "")) for outcome, name, count in rows}
    total = re.search(r"^ +all +([\d,]+) *$", table, re.MULTILINE)
    assert total
    assert sum(counts.values()) == int(total[1].replace(",", ""))
    accepted = {name for outcome, name in counts if outcome == "accepted"}
    assert accepted == {
        *("wallet_created", "debited", "credited", "topped_up"),
        *("frozen", "unfrozen", "closed"),
    }
    rejected = {name for outcome, name in counts if outcome == "rejected"}
    assert rejected >= {
        *("insufficient_funds", "wallet_frozen", "wallet_not_found", "reference_conflict"),
        *("currency_mismatch", "wallet_closed", "expiry_in_past"),
    }
    assert counts["repeated", "the first outcome again"] >= 400
    assert counts["dead letter", "invalid_command"] >= 20
    expired = re.search(r"([\d,]+) credits ran out while it went on", table)
    assert expired
    assert int(expired[1].replace(",", "")) >= 100
    assert re.search(r"[\d,]+ commands decided in [\d.]+ s, .*: [\d,]+/s", table)


def _assert_proven(said: str) -> None:
    proof = said.partition("5. ")[2]
    assert "FAIL" not in proof
    assert "PASS: everything above holds." in proof
    checks = (claim for name, claim in CHECKS.items() if name not in _OF_CHECKPOINTS)
    for claim in (*checks, "every command that the demo sent has exactly one outcome"):
        assert re.search(rf"^ *PASS +[\d,]+ +{re.escape(claim)}", proof, re.MULTILINE), claim
    assert len(re.findall(r"^ *(?:GHS|NGN|USD|JPY|KWD) .* PASS *$", proof, re.MULTILINE)) == 5
    assert len(re.findall(r"^ +\d  [0-9a-f]{64}$", proof, re.MULTILINE)) == 4


async def _assert_answers(said: str) -> None:
    """The curl line gives what is printed below it, to whoever has the key above it."""
    key = re.search(r"^ +\$ KEY=(\w{12}):(\w{64})$", said, re.MULTILINE)
    assert key
    url, answer = re.findall(r"^ +\$ curl -u \$KEY '(.+)'\n +(\{.*\}) *$", said, re.MULTILINE)[0]
    async with httpx.AsyncClient(trust_env=False, auth=(key[1], key[2])) as client:
        assert (await client.get(url)).text == answer


@pytest.mark.timeout(_STARTED_S + _STOPPED_S)
async def test_a_demo_that_is_stopped_early_leaves_nothing_and_fails(directory: Path) -> None:
    async with demo(directory) as running:
        await running.says("starting two engines", _STARTED_S)
        assert running.left_running()
        running.process.send_signal(signal.SIGTERM)
        assert await running.ends() == 1
        assert "the demo was stopped before its end" in running.said
        assert running.left() == []


@pytest.mark.timeout(_STARTED_S + _STOPPED_S)
async def test_too_few_commands_are_refused(directory: Path) -> None:
    async with demo(directory, "--commands", "10") as running:
        assert await running.ends() == 2
