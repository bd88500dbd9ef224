"""An answer that comes before the body's end reaches a caller who goes on sending all the same.

A connection that is closed with unread bytes in it is reset, and the reset destroys whatever the
caller has not read yet.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from api.bodies import BODY_BYTES_MAX
from api.lingering import BYTES_MAX
from tests.support.raw_http import RawAnswer, RawApi, read_answer

DEBIT = b"POST /v1/wallets/wal_a/debit"
KIB_65, MB_10 = 65 * 1024, 10 * 1000 * 1000
AFTER_IT = b"GET /v1/nowhere HTTP/1.1\r\nHost: wallet\r\n\r\n"


@dataclass
class Caller:
    """One connection, on which reading and writing go on until one of them fails."""

    api: RawApi
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def begin(self, line: bytes, *headers: bytes, auth: bool = True) -> None:
        own = [self.api.authorization()] if auth else []
        lines = [line + b" HTTP/1.1", b"Host: wallet", *own, *headers, b"", b""]
        await self.send(b"\r\n".join(lines))

    async def answer(self) -> RawAnswer:
        async with asyncio.timeout(20):
            answer = await read_answer(self.reader)
        assert answer is not None
        return answer

    async def sends_until_reset(self, piece: bytes) -> int:
        """How many bytes went out before nobody took them any more."""
        sent = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                while True:
                    await self.send(piece)
                    sent += len(piece)
        return sent

    async def reaches_the_end(self) -> None:
        """The connection ends, and was not reset."""
        async with asyncio.timeout(20):
            assert await self.reader.read() == b""

    async def goes_on(self) -> None:
        """The connection is good for another request."""
        await self.send(AFTER_IT)
        assert (await self.answer()).status == 404


@asynccontextmanager
async def calling(api: RawApi) -> AsyncIterator[Caller]:
    url = api.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield Caller(api, reader, writer)
    finally:
        writer.close()


def _announced(size: int) -> tuple[bytes, Iterator[bytes]]:
    return b"Content-Length: %d" % size, _pieces(size)


def _chunked(size: int) -> tuple[bytes, Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        for piece in _pieces(size):
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
        yield b"0\r\n\r\n"

    return b"Transfer-Encoding: chunked", chunks()


def _pieces(size: int) -> Iterator[bytes]:
    piece = 64_000
    for start in range(0, size, piece):
        yield b" " * min(piece, size - start)


@pytest.mark.parametrize("size", [KIB_65, MB_10])
@pytest.mark.parametrize("form", [_announced, _chunked])
async def test_who_reads_only_when_all_is_sent_gets_the_answer(api, form, size) -> None:
    header, pieces = form(size)
    async with calling(api) as caller:
        await caller.begin(DEBIT, header)
        for piece in pieces:
            await caller.send(piece)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        await caller.reaches_the_end()


async def test_a_body_in_one_write_with_its_head_gets_the_answer(api) -> None:
    async with calling(api) as caller:
        lines = [DEBIT + b" HTTP/1.1", b"Host: wallet", api.authorization()]
        head = b"\r\n".join([*lines, b"Content-Length: %d" % KIB_65, b"", b""])
        await caller.send(head + b" " * KIB_65)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        await caller.reaches_the_end()


@pytest.mark.parametrize("size", [KIB_65, MB_10])
async def test_who_goes_on_after_the_answer_is_read_to_the_end(api, size) -> None:
    header, pieces = _announced(size)
    async with calling(api) as caller:
        await caller.begin(DEBIT, header)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        for piece in pieces:
            await caller.send(piece)
        await caller.reaches_the_end()


async def test_slow_pieces_are_read_to_the_end(api) -> None:
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Content-Length: %d" % KIB_65)
        assert (await caller.answer()).status == 413
        for _ in range(65):
            await caller.send(b" " * 1024)
            # slower than the server reads
            await asyncio.sleep(0.01)
        await caller.reaches_the_end()


async def test_a_body_without_end_is_not_read_for_ever(api) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Transfer-Encoding: chunked")
        await caller.send(piece + piece)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert BYTES_MAX // 2 < await caller.sends_until_reset(piece) < 4 * BYTES_MAX


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(api) -> None:
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Content-Length: %d" % KIB_65)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        await caller.reaches_the_end()


@pytest.mark.parametrize(
    ("line", "auth", "status"),
    [
        (DEBIT, False, 401),
        (b"POST /v1/nowhere", True, 404),
        (b"PUT /v2/wallets", True, 405),
        (b"POST /healthz", True, 405),
    ],
)
async def test_a_small_body_behind_a_refusal_leaves_the_connection_good(
    api, line, auth, status
) -> None:
    for form in (_announced, _chunked):
        header, pieces = form(BODY_BYTES_MAX)
        async with calling(api) as caller:
            await caller.begin(line, header, auth=auth)
            for piece in pieces:
                await caller.send(piece)
            answer = await caller.answer()
            assert answer.status == status
            assert "connection" not in answer.headers
            await caller.goes_on()


@pytest.mark.parametrize("size", [10, KIB_65])
async def test_a_body_that_comes_after_a_refusal_is_read_to_the_end(api, size) -> None:
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Content-Length: %d" % size, auth=False)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        await caller.send(b" " * size)
        await caller.reaches_the_end()


async def test_who_asks_before_sending_is_asked_for_what_is_small(api) -> None:
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Content-Length: 10", b"Expect: 100-continue", auth=False)
        async with asyncio.timeout(20):
            assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.send(b" " * 10)
        answer = await caller.answer()
        assert (answer.status, answer.headers.get("connection")) == (401, None)
        await caller.goes_on()


async def test_a_body_that_is_late_for_the_deadline_is_read_to_the_end(api) -> None:
    async with calling(api) as caller:
        await caller.begin(DEBIT, b"Content-Length: 20")
        await caller.send(b" " * 10)
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        await caller.send(b" " * 10)
        await caller.reaches_the_end()
