"""The processes under chaos, with a supervisor that starts what has ended by itself."""

import asyncio
from collections.abc import Mapping

from cli.stack import ManagedProcess
from tests.support.http_deployment import HttpDeployment

_WATCH_S = 0.2
_SERVER_IS_AWAY = "does not answer"


class Processes:
    """Two of each kind, which go through proxies to the servers."""

    def __init__(self, deployment: HttpDeployment, detours: Mapping[str, str]) -> None:
        self.revived = 0
        self._deployment = deployment
        self._detours = detours
        self._turn = asyncio.Lock()

    def start_all(self) -> None:
        for kind in ("engine", "projector", "api"):
            for number in range(2):
                self._deployment.start(kind, number, self._detours)

    def find(self, kind: str, number: int) -> ManagedProcess:
        """A process of the service, or a server, of which there is one."""
        stack = self._deployment.stack
        if kind in ("kafka", "postgres"):
            return (stack.kafka if kind == "kafka" else stack.postgres).process
        return self._deployment.processes[kind, number]

    async def bounce(self, kind: str, number: int, away_s: float, *, kill: bool) -> None:
        """End one, by SIGKILL or SIGTERM, and start it again."""
        async with self._turn:
            self._revive()
            await (self._deployment.kill if kill else self._deployment.stop)(kind, number)
            await asyncio.sleep(away_s)
            self._deployment.start(kind, number, self._detours)

    async def bounce_server(self, kind: str, away_s: float, *, kill: bool) -> None:
        """The same of Kafka or PostgreSQL, whose sessions end with it."""
        stack = self._deployment.stack
        server = stack.kafka if kind == "kafka" else stack.postgres
        await (server.kill() if kill else server.stop())
        await asyncio.sleep(away_s)
        await server.start()

    async def supervise(self) -> None:
        """Start again what found a server away when it started, as any supervisor would."""
        while True:
            async with self._turn:
                self._revive()
            await asyncio.sleep(_WATCH_S)

    def _revive(self) -> None:
        for (kind, number), process in [*self._deployment.processes.items()]:
            if process.running:
                continue
            tail = process.log_tail(5)
            assert _SERVER_IS_AWAY in tail, (
                f"{process.name} ended by itself with {process.returncode}: {tail}"
            )
            self._deployment.ended.append(process)
            self._deployment.start(kind, number, self._detours)
            self.revived += 1
