"""`wallet send`: command lines into Kafka, and their outcomes back."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cli.arguments import JsonOption
from cli.command_lines import BadLine, LineSplitter, read_chunks, read_line
from cli.database import connected
from cli.errors import UsageMistakeError
from cli.outcomes import OutcomeQueue
from cli.output import err, flush, note, print_json, say
from cli.sending import CommandStream, sending
from engine.settings import Settings, load_settings

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON lines; - is standard input, the default.")
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Print each line's outcome as a JSON line, in their order.")
]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Send lines as they stand, commands or not.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.1, metavar="SECONDS", help="With --wait: the longest time without one."
    ),
]

Advance = Callable[[int], None]

_STDIN: Final = "-"
_STDIN_DESCRIPTOR: Final = 0
_AWAITED_LINES_MAX: Final = 50_000
_POLL_S: Final = 0.02


class SendSummary(Struct, frozen=True, kw_only=True):
    """What was sent: `sent` lines are acknowledged, `bad` ones were not sent."""

    sent: int
    bad: int
    seconds: float


def send(
    file: FileArgument = _STDIN,
    wait: WaitOption = False,
    raw: RawOption = False,
    timeout: TimeoutOption = 60.0,
    json: JsonOption = False,
) -> None:
    """Send commands, one JSON object a line, and say what became of them if asked.

    Each goes to its wallet's home partition, and counts as sent once all replicas
    have it. A line that is no valid command is reported with its number and not
    sent; the others are, and the exit status is 1. To send a file twice does no
    harm: a command is carried out once for each reference.

    With --wait, an outcome is accepted, rejected with a code, or dead_letter with
    a reason. All three count as success; no outcome within the time-out does not.
    With --raw nothing is checked, to see what the engine makes of it.

    For example:
      wallet send usage.jsonl
      wallet send usage.jsonl --wait | jq 'select(.outcome != "accepted")'
      tail -f usage.jsonl | wallet send - --wait
    """
    settings = load_settings()
    with _opened(file) as descriptor, _bar(file, descriptor, wait) as advance:
        job = _Job(settings, descriptor, advance, raw=raw)
        summary = asyncio.run(job.run_and_wait(timeout) if wait else job.run())
    if json and not wait:
        print_json(summary)
    else:
        (note if wait else say)(_sentence(summary))
    if summary.bad:
        raise typer.Exit(1)


class _Job:
    def __init__(
        self, settings: Settings, descriptor: int, advance: Advance, *, raw: bool
    ) -> None:
        self._settings = settings
        self._descriptor = descriptor
        self._advance = advance
        self._raw = raw
        self._bad = 0
        self._begun = time.monotonic()

    async def run(self) -> SendSummary:
        """Send everything."""
        async with sending(self._settings) as stream:
            await self._send_all(stream, None)
            return self._summary(stream)

    async def run_and_wait(self, timeout_s: float) -> SendSummary:
        """Send everything, and print outcomes as they come."""
        async with connected(self._settings) as connection, sending(self._settings) as stream:
            queue = OutcomeQueue(connection, timeout_s)
            sender = asyncio.create_task(self._send_all(stream, queue))
            try:
                await _print_outcomes(stream, queue, sender)
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
            return self._summary(stream)

    async def _send_all(self, stream: CommandStream, queue: OutcomeQueue | None) -> None:
        splitter = LineSplitter()
        async for chunk in read_chunks(self._descriptor):
            await self._add(stream, splitter.feed(chunk))
            await stream.flush()
            self._advance(len(chunk))
            if queue is None:
                stream.take_acknowledged()
            elif stream.pending + len(queue) > _AWAITED_LINES_MAX:
                await self._until_fewer(stream, queue)
        await self._add(stream, splitter.end())
        await stream.drain()

    async def _until_fewer(self, stream: CommandStream, queue: OutcomeQueue) -> None:
        # each look at the outcomes may change both counts, and none of them is an event
        while stream.pending + len(queue) > _AWAITED_LINES_MAX:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)

    async def _add(self, stream: CommandStream, lines: Iterator[tuple[int, bytes]]) -> None:
        for number, data in lines:
            line = read_line(number, data, raw=self._raw)
            if isinstance(line, BadLine):
                self._bad += 1
                note(f"line {line.number}: {line.reason}")
            else:
                await stream.add(line)

    def _summary(self, stream: CommandStream) -> SendSummary:
        seconds = round(time.monotonic() - self._begun, 3)
        return SendSummary(sent=stream.acknowledged, bad=self._bad, seconds=seconds)


async def _print_outcomes(
    stream: CommandStream, queue: OutcomeQueue, sender: "asyncio.Task[None]"
) -> None:
    while not sender.done() or stream.pending or queue:
        if sender.done():
            sender.result()
        queue.extend(stream.take_acknowledged())
        outcomes = await queue.take()
        for outcome in outcomes:
            print_json(outcome)
        flush()
        if not outcomes:
            await asyncio.sleep(_POLL_S)
    sender.result()


@contextmanager
def _opened(file: str) -> Iterator[int]:
    if file == _STDIN:
        yield _STDIN_DESCRIPTOR
        return
    if Path(file).is_dir():
        raise UsageMistakeError(f"{file} is a directory")
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise UsageMistakeError(f"can't read {file}: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _bar(file: str, descriptor: int, wait: bool) -> Iterator[Advance]:
    """A progress bar, for a file, where it gets in the way of nothing."""
    console = err()
    if file == _STDIN or not console.is_terminal or (wait and sys.stdout.isatty()):
        yield _nowhere
        return
    columns = (TextColumn("sending"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("sending", total=os.fstat(descriptor).st_size or None)
        yield lambda count: progress.advance(task, count)


def _nowhere(_count: int) -> None:
    pass


def _sentence(summary: SendSummary) -> str:
    rate = f" ({summary.sent / summary.seconds:,.0f}/s)" if summary.seconds else ""
    bad = f" Bad lines, not sent: {summary.bad:,}." if summary.bad else ""
    return f"Lines sent: {summary.sent:,} in {summary.seconds:.1f} s{rate}.{bad}"
