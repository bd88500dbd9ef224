"""A load balancer as the API asks for: one address, and each connection to a process that is ready."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from typing_extensions import override

from tests.chaos.proxy import Proxy

_POLL_S = 0.25
_ANSWER_S_MAX = 5


class Balancer(Proxy):
    """Knows nothing of HTTP but `/readyz`; a connection stays where it was opened."""

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__()
        self.ready: set[int] = set()
        self.unanswered = 0
        """Connections for which there was no process that is ready."""
        self._ports = list(ports)

    @classmethod
    @asynccontextmanager
    async def over(cls, ports: Sequence[int]) -> AsyncIterator["Balancer"]:
        """One that is listening; its connections are reset at the end."""
        balancer = cls(ports)
        await balancer.start()
        polling = [asyncio.create_task(balancer._poll(port)) for port in ports]
        try:
            yield balancer
        finally:
            for task in polling:
                task.cancel()
            await asyncio.wait(polling)
            await balancer.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _poll(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/readyz"
        while True:
            async with httpx.AsyncClient(timeout=_ANSWER_S_MAX) as client:
                try:
                    is_ready = (await client.get(url)).is_success
                except httpx.TransportError:
                    is_ready = False
            if is_ready:
                self.ready.add(port)
            else:
                self.ready.discard(port)
            await asyncio.sleep(_POLL_S)

    @override
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ports.append(self._ports.pop(0))
        self.upstream = next((port for port in self._ports if port in self.ready), None)
        if self.upstream is None:
            self.unanswered += 1
            writer.transport.abort()
            return
        await super()._serve(reader, writer)
