"""A peer's script run with certain settings, on an empty database each time."""

import asyncio
import itertools
import json
import statistics
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from bench.errors import BenchError
from bench.session import Say

_numbers = itertools.count()


class Rate(NamedTuple):
    """One run of a peer; latencies in milliseconds."""

    debits: int
    debits_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Setting:
    """One way to run a peer's script, and how it is called in the table."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Peer:
    """A script, and the settings among which the quickest is looked for."""

    name: str
    module: str
    settings: tuple[Setting, ...]


class Length(NamedTuple):
    """Seconds of each run: looking for the best setting, at top rate, and at half of it."""

    probe_s: float
    top_s: float
    half_s: float


@dataclass(frozen=True)
class Outcome:
    """What came of a system on one workload: debits/s of each run, and what half of it is like."""

    system: str
    setting: str
    tops: list[float]
    half: Rate

    @property
    def debits_per_s(self) -> float:
        return statistics.median(self.tops)


class Peers:
    """Runs peers on one server, `runs` times each at their top rate."""

    def __init__(self, server_url: str, runs: int, length: Length, say: Say) -> None:
        self._server_url = server_url
        self._runs = runs
        self._length = length
        self._say = say

    async def measure(self, peer: Peer, accounts: int) -> Outcome:
        """With its quickest setting; every run ends with a look at all balances."""
        best = await self._quickest(peer, accounts)
        self._say(f"{peer.name}, {accounts:,} accounts, {best.name}: {self._runs} runs and a half")
        tops = [
            (await self._run(peer, best, accounts, self._length.top_s)).debits_per_s
            for _ in range(self._runs)
        ]
        half = await self._run(
            peer, best, accounts, self._length.half_s, rate=statistics.median(tops) / 2
        )
        return Outcome(peer.name, best.name, tops, half)

    async def _quickest(self, peer: Peer, accounts: int) -> Setting:
        best, most = peer.settings[0], 0.0
        for setting in peer.settings:
            found = await self._run(peer, setting, accounts, self._length.probe_s)
            self._say(
                f"{peer.name}, {accounts:,} accounts, {setting.name}: {found.debits_per_s:,.0f}/s"
            )
            if found.debits_per_s > most:
                best, most = setting, found.debits_per_s
        return best

    async def _run(
        self, peer: Peer, setting: Setting, accounts: int, seconds: float, *, rate: float = 0
    ) -> Rate:
        async with _empty_database(self._server_url) as database_url:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", peer.module, database_url, *setting.arguments),
                *("--accounts", str(accounts), "--seconds", str(seconds), "--rate", str(rate)),
                stdout=PIPE,
            )
            out, _ = await process.communicate()
        if process.returncode:
            raise BenchError(f"{peer.module} ended with status {process.returncode}; see above")
        return Rate(**json.loads(out))


@asynccontextmanager
async def _empty_database(server_url: str) -> AsyncIterator[str]:
    name = f"peer_{next(_numbers)}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        # the run before has left dirty pages, which are not this one's to write
        await connection.execute("CHECKPOINT")
        yield f"{server_url.rpartition('/')[0]}/{name}"
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
