"""A network between the engine and its database that breaks when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Network:
    """A relay to the server of a URL, at `url`."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lose_request = False
        self._lose_reply = False
        self._port = 0

    @property
    def url(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        return self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()

    def lose_next_request(self) -> None:
        self._lose_request = True

    def lose_next_reply(self) -> None:
        self._lose_reply = True

    def cut(self) -> None:
        for link in list(self._links):
            self._break(link)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Network"]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            # a relay ends when both its ends are closed
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        link = (writer, far_writer)
        self._links.add(link)
        for start in (
            self._carry_requests(reader, far_writer, link),
            self._carry_replies(far_reader, writer, link),
        ):
            task = asyncio.create_task(start)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        try:
            while data := await reader.read(65536):
                if self._lose_request:
                    self._lose_request = False
                    break
                writer.write(data)
        except ConnectionError:
            pass
        self._break(link)

    async def _carry_replies(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        try:
            while data := await reader.read(65536):
                if self._lose_reply:
                    self._lose_reply = False
                    break
                writer.write(data)
        except ConnectionError:
            pass
        self._break(link)

    def _break(self, link: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._links.discard(link)
        for writer in link:
            writer.close()
