"""A merchant's web site: it answers every path, and remembers what it was asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_PAGE = b"<!doctype html><html lang=en><title>Shop</title><h1>Welcome back</h1>"


@dataclass
class MerchantSite:
    """`visits` are targets and Referer headers, in their order. /moved leads on to `moved_to`."""

    url: str = ""
    moved_to: str = ""
    visits: list[tuple[str, str | None]] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["MerchantSite"]:
        site = cls()
        server = await asyncio.start_server(site._answer, "127.0.0.1", 0)
        site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield site

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            target = head[0].split(" ")[1]
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            if target != "/favicon.ico":
                self.visits.append((target, headers.get("referer")))
            if target.startswith("/moved"):
                writer.write(
                    b"HTTP/1.1 302 Found\r\nlocation: %s\r\ncontent-length: 0\r\n"
                    b"connection: close\r\n\r\n" % self.moved_to.encode()
                )
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n"
                    b"connection: close\r\n\r\n%b" % (len(_PAGE), _PAGE)
                )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            # browsers open connections that they never use
            return
        finally:
            writer.close()
