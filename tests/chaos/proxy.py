"""A TCP proxy on 127.0.0.1 whose connections can be reset."""

import asyncio
import socket
import struct
from contextlib import suppress

from cli.stack.ports import HOST

_READ_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for no time at all: closing sends RST."""


class Proxy:
    """Passes bytes on to `upstream`, a port, which may be set later or change."""

    def __init__(self, upstream: int | None = None) -> None:
        self.upstream = upstream
        self.port = 0
        self.resets = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()

    def reset(self) -> int:
        """Reset all connections, to both of their ends; how many there were."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            raw = writer.get_extra_info("socket")
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self.resets += len(writers) // 2
        return len(writers) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(HOST, self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, to_writer}
        self._writers |= pair
        try:
            await asyncio.gather(_pass_on(reader, to_writer), _pass_on(to_reader, writer))
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end: a half-closed one may still be answered, a broken one is not."""
    try:
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()
