"""Lines of a command file: one JSON object each, blank ones left out."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct

from engine.topics import RECORD_BYTES_MAX
from engine.topology import home
from schemas.commands import AnyCommand, InvalidCommandError, decode_command

LINE_BYTES_MAX: Final = RECORD_BYTES_MAX - 4 * 1024
"""What fits into a record, with a key and Kafka's own fields beside it."""

_CHUNK_BYTES = 256 * 1024


class CommandLine(Struct, frozen=True):
    """A line to be sent. `command` is None if none can be read from it."""

    number: int
    data: bytes
    command: AnyCommand | None
    wallet_id: str | None

    def partition(self, partitions: int) -> int:
        """The wallet's home; for a line that names no wallet, one that the same line gets."""
        if self.wallet_id is None:
            return crc32(self.data) % partitions
        return home(self.wallet_id, partitions)


class BadLine(Struct, frozen=True):
    """A line that is not sent, and why."""

    number: int
    reason: str


class _WalletOnly(Struct):
    wallet_id: str


_wallet_decoder = msgspec.json.Decoder(_WalletOnly)


def key_of(data: bytes) -> str | None:
    """The wallet id in a JSON object, whatever else is in it."""
    try:
        return _wallet_decoder.decode(data).wallet_id or None
    except (ValueError, RecursionError, OverflowError):
        return None


def read_line(number: int, data: bytes, *, raw: bool) -> CommandLine | BadLine:
    """Check one line; `raw` lets anything pass that fits into a record."""
    if len(data) > LINE_BYTES_MAX:
        return BadLine(number, f"the line has more than {LINE_BYTES_MAX} bytes")
    try:
        command = decode_command(data)
    except InvalidCommandError as error:
        if raw:
            return CommandLine(number, data, None, key_of(data))
        return BadLine(number, f"{error.reason}: {error}")
    return CommandLine(number, data, command, command.wallet_id)


class LineSplitter:
    """Cuts a stream of bytes into numbered lines; of one that is too long, it keeps the start."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """The lines that end in `chunk`, without blank ones."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            whole, self._rest = self._rest + line, b""
            yield from self._numbered(whole)
        self._rest = (self._rest + rest)[: LINE_BYTES_MAX + 1]

    def end(self) -> Iterator[tuple[int, bytes]]:
        """The last line, if nothing ended it."""
        rest, self._rest = self._rest, b""
        yield from self._numbered(rest)

    def _numbered(self, line: bytes) -> Iterator[tuple[int, bytes]]:
        self._number += 1
        if line.strip():
            yield self._number, line


async def read_chunks(descriptor: int) -> AsyncIterator[bytes]:
    """What a file, pipe or terminal gives, as it comes."""
    while True:
        await _until_readable(descriptor)
        chunk = os.read(descriptor, _CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _until_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(descriptor, readable.set)
    except PermissionError:  # a file on disk keeps nobody waiting
        await asyncio.sleep(0)
        return
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
