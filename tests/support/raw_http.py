"""Requests as bytes on a socket, such as no client library would send."""

import asyncio
import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import msgspec


@dataclass(frozen=True)
class RawAnswer:
    """`headers` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class RawApi:
    """An API over HTTP, and as a socket."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def send(self, request: bytes, *, end: bool = False) -> RawAnswer | None:
        """What is answered to these bytes, if anything; `end`: nothing more will come."""
        url = self.client.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port)
        try:
            writer.write(request)
            await writer.drain()
            if end:
                writer.write_eof()
            async with asyncio.timeout(30):
                return await read_answer(reader)
        except ConnectionError:
            return None
        finally:
            writer.close()

    async def ask(
        self, line: bytes, *headers: bytes, body: bytes = b"", auth: bool = True
    ) -> RawAnswer | None:
        """An answer to a request line, with the client's credentials."""
        own = [self.authorization()] if auth else []
        lines = [line + b" HTTP/1.1", b"Host: wallet", *own, *headers]
        return await self.send(b"\r\n".join([*lines, b"", body]))

    def authorization(self) -> bytes:
        request = httpx.Request("GET", self.client.base_url)
        assert self.client.auth is not None
        signed = next(self.client.auth.auth_flow(request))
        return b"Authorization: " + signed.headers["authorization"].encode()


def token(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def read_answer(reader: asyncio.StreamReader) -> RawAnswer | None:
    """The next answer on the connection; None if it ends without one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = HTTPStatus(int(first.split()[1]))
    length = int(headers.get("content-length", "0"))
    body = b"" if status == HTTPStatus.NO_CONTENT else await _body(reader, length)
    return RawAnswer(status, headers, body)


async def _body(reader: asyncio.StreamReader, length: int) -> bytes:
    try:
        # there is none after HEAD, whatever the length
        async with asyncio.timeout(2):
            return await reader.readexactly(length)
    except (TimeoutError, asyncio.IncompleteReadError):
        return b""
