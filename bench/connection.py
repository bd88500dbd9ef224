"""A connection that is kept alive, one request at a time, and as little work as can be.

connection = await connect("127.0.0.1", 8080)
response = await connection.request(encode_request("GET", "/healthz"))
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple, cast


class Response(NamedTuple):
    """`head` is everything before the body: status line and header lines."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name; None if there is none."""
        wanted = name.lower()
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == wanted:
                return value.strip()
        return None


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection, as a client that reads only bodies with a Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Response] | None = None
        self._received = b""

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def request(self, data: bytes) -> "asyncio.Future[Response]":
        """Send a whole request; its response, or OSError if the connection broke before."""
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        if not self.usable or self._transport is None:
            waiting.set_exception(ConnectionResetError("the connection is closed"))
            return waiting
        if self._waiting is not None:
            raise RuntimeError("one request at a time")
        self._waiting, self._received = waiting, b""
        self._transport.write(data)
        return waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(ConnectionResetError(f"the connection broke: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _body_length(head):
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Response(int(head[9:12]), head, body))


def _body_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError(f"no Content-Length in {head!r}")
    return int(rest.partition(b"\r\n")[0])


async def connect(host: str, port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


def basic(client_id: str, client_secret: str) -> str:
    """The Authorization header's value."""
    return "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()


def encode_request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
