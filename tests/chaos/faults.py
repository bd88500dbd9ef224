"""Faults of real processes, drawn from a seed and carried out one after the other.

faults = Faults(processes, links, Random(seed))
await faults.until(stop)
faults.survived  # Counter of ("kill", "engine"), ("reset", "postgres"), ...
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

import psutil

from cli.stack import ManagedProcess
from tests.chaos.processes import Processes
from tests.chaos.proxy import Proxy

SERVICES = ("engine", "projector", "api")
SERVERS = ("kafka", "postgres")
LINKS = ("kafka", "postgres", "api")
KINDS = [
    *[(what, kind) for what in ("kill", "pause", "restart") for kind in (*SERVICES, *SERVERS)],
    *[("reset", link) for link in LINKS],
]
_GAP_S_MAX = 1.0
_AWAY_S_MAX = 1.0
_PAUSE_S_MAX = 4.0
"""Longer than a session of the consumer group lasts: who wakes then has lost its partitions."""


class Faults:
    """What can go wrong in one deployment; every kind comes round before one comes again."""

    def __init__(
        self, processes: Processes, links: Mapping[str, Sequence[Proxy]], rng: Random
    ) -> None:
        self.survived: Counter[tuple[str, str]] = Counter()
        self._processes = processes
        self._links = links
        self._rng = rng
        self._drawn: list[tuple[str, str]] = []

    async def until(
        self, stop: asyncio.Event, on_fault: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        """One after the other until `stop` is set; whatever was stopped runs again then."""
        while not stop.is_set():
            what, kind = self._draw()
            on_fault(what, kind)
            await self._carry_out(what, kind)
            self.survived[what, kind] += 1
            await asyncio.sleep(self._rng.uniform(0.1, _GAP_S_MAX))

    def _draw(self) -> tuple[str, str]:
        if not self._drawn:
            self._drawn = self._rng.sample(KINDS, len(KINDS))
        return self._drawn.pop()

    async def _carry_out(self, what: str, kind: str) -> None:
        away_s = self._rng.uniform(0, _AWAY_S_MAX)
        number = self._rng.randrange(2)
        if what == "reset":
            for proxy in self._links[kind]:
                proxy.reset()
        elif what == "pause":
            await self._pause(self._processes.find(kind, number))
        elif kind in SERVERS:
            await self._processes.bounce_server(kind, away_s, kill=what == "kill")
        else:
            await self._processes.bounce(kind, number, away_s, kill=what == "kill")

    async def _pause(self, process: ManagedProcess) -> None:
        """SIGSTOP and SIGCONT, the processes of a server's sessions included."""
        stopped = psutil.Process(process.pid)
        group = [stopped, *stopped.children(recursive=True)]
        _signal(group, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._rng.uniform(0.2, _PAUSE_S_MAX))
        finally:
            _signal(group, signal.SIGCONT)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            # a session that has ended
            continue
