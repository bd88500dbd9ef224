"""A network between a process and its database that can fall silent: no data, and no end of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class SilentNetwork:
    """A relay to the server of `url`; what is sent while it is silent arrives afterwards."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._lets_through = asyncio.Event()
        self._lets_through.set()
        self._links: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        """The server's URL through this network."""
        user = self._target.netloc.rpartition("@")[0]
        at = f"{user}@" if user else ""
        return self._target._replace(netloc=f"{at}127.0.0.1:{self._port}").geturl()

    def fall_silent(self) -> None:
        self._lets_through.clear()

    def recover(self) -> None:
        self._lets_through.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SilentNetwork"]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for link in self._links:
                link.cancel()
            await asyncio.gather(*self._links, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._target.hostname, self._target.port
        far_reader, far_writer = await asyncio.open_connection(host, port)
        for one, other in ((reader, far_writer), (far_reader, writer)):
            link = asyncio.create_task(self._pass_on(one, other))
            self._links.add(link)
            link.add_done_callback(self._links.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    await self._lets_through.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
