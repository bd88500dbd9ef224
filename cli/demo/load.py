"""Sending the command file as it stands, and keeping a record of where each line went."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Final

from cli.command_lines import BadLine, CommandLine, LineSplitter, read_line
from cli.demo.narration import Update
from cli.errors import DemoFailedError
from cli.sending import SentLine, sending
from engine.settings import Settings

_FLUSHED_LINES: Final = 1_000


class Load:
    """The lines of a file. `sent` is the demo's own record: every line with partition, offset."""

    def __init__(self, usage: Path) -> None:
        self.lines = _read(usage.read_bytes())
        self.sent: list[SentLine] = []
        self.acknowledged = 0
        self.begun_s = 0.0

    async def send(self, settings: Settings, update: Update) -> None:
        """Send all, in order, as `wallet send --raw` does."""
        self.begun_s = time.monotonic()
        async with sending(settings) as stream:
            for start in range(0, len(self.lines), _FLUSHED_LINES):
                for line in self.lines[start : start + _FLUSHED_LINES]:
                    await stream.add(line)
                await stream.flush()
                self.acknowledged = stream.acknowledged
                update(stream.acknowledged)
                # whoever watches the load has to get a turn
                await asyncio.sleep(0)
            await stream.drain()
            self.acknowledged = stream.acknowledged
            update(stream.acknowledged)
            self.sent = stream.take_acknowledged()
        if len(self.sent) != len(self.lines):
            raise DemoFailedError(
                f"Kafka acknowledged {len(self.sent):,} of {len(self.lines):,} lines"
            )

    @property
    def ends(self) -> dict[int, int]:
        """For each partition, how many records it was sent: nobody else writes to it."""
        return dict(Counter(line.partition for line in self.sent))


def _read(data: bytes) -> list[CommandLine]:
    splitter = LineSplitter()
    lines = []
    for number, text in [*splitter.feed(data), *splitter.end()]:
        line = read_line(number, text, raw=True)
        if isinstance(line, BadLine):
            raise DemoFailedError(f"line {number} of the command file: {line.reason}")
        lines.append(line)
    return lines
