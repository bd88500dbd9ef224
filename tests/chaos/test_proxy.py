"""The proxy passes on what it gets, and resets when it is told to."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from tests.chaos.proxy import Proxy


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                writer.write(data.upper())
        except ConnectionResetError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1")
    between = Proxy(server.sockets[0].getsockname()[1])
    await between.start()
    try:
        yield between
    finally:
        await between.stop()
        server.close()


async def test_it_passes_on_both_ways_and_the_end(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"wallet")
    assert await reader.readexactly(6) == b"WALLET"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_a_reset_breaks_what_is_open_and_not_what_comes_after(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"A"
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"b")
    assert await reader.readexactly(1) == b"B"
    writer.close()


async def test_a_server_that_breaks_off_is_seen_by_its_client() -> None:
    async def break_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    server = await asyncio.start_server(break_off, "127.0.0.1")
    between = Proxy(server.sockets[0].getsockname()[1])
    await between.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", between.port)
    with suppress(ConnectionResetError):  # as good as an end
        async with asyncio.timeout(10):
            assert await reader.read() == b""
    writer.close()
    await between.stop()
    server.close()


async def test_nobody_behind_it_is_as_a_connection_that_breaks(proxy: Proxy) -> None:
    proxy.upstream = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with suppress(ConnectionResetError):  # as good as an end
        assert await reader.read() == b""
    writer.close()
