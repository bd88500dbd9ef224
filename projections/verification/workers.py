"""Shards verified in several processes at once: Python decides on one core only."""

import asyncio
import os
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from projections.verification.errors import TopicsUnreachableError, VerificationError
from projections.verification.progress import OnProgress
from projections.verification.shard_job import ShardOutcome
from projections.verification.task import Answer, Done, Failed, Task, Told

_LINE_BYTES_MAX: Final = 1 << 26
_MODULE: Final = "projections.verification.worker"

_answers = msgspec.json.Decoder(Answer)


class Workers:
    """So many processes; each takes the next shard as soon as it is done with one."""

    def __init__(self, task: Task, count: int, on_progress: OnProgress) -> None:
        self._task = task
        self._count = count
        self._on_progress = on_progress

    async def run(self, shards: Sequence[int]) -> list[ShardOutcome]:
        """The outcomes, by shard. If one process fails, or this is cancelled, all end at once."""
        left = list(reversed(shards))
        outcomes: list[ShardOutcome] = []
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._count, len(shards))):
                    group.create_task(self._one(left, outcomes))
        except ExceptionGroup as errors:
            # what ends one ends the others, so that the first is the cause
            raise errors.exceptions[0] from errors
        return sorted(outcomes, key=lambda outcome: outcome.proof.shard)

    async def _one(self, left: list[int], outcomes: list[ShardOutcome]) -> None:
        # -P: what lies in the working directory is not to be taken for our packages
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=PIPE,
            stdout=PIPE,
            limit=_LINE_BYTES_MAX,
            # the terminal's Ctrl-C is for the one that waits; it ends the others
            start_new_session=True,
        )
        writer, reader = _pipes(process)
        try:
            await _tell(process, writer, msgspec.json.encode(self._task))
            while left:
                await _tell(process, writer, b"%d" % left.pop())
                outcomes.append(await self._outcome(process, reader))
        finally:
            if process.returncode is None:
                _kill(process)
            await process.wait()

    async def _outcome(self, process: Process, reader: StreamReader) -> ShardOutcome:
        while line := await reader.readline():
            answer = _answers.decode(line)
            if isinstance(answer, Told):
                self._on_progress(answer.progress)
            elif isinstance(answer, Done):
                return answer.outcome
            else:
                raise _error(answer)
        raise await _ended(process)


def _kill(process: Process) -> None:
    # its own kill() looks first whether it has ended, which takes the status from whoever waits
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


def _pipes(process: Process) -> tuple[StreamWriter, StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("the process was started with pipes")
    return process.stdin, process.stdout


async def _tell(process: Process, writer: StreamWriter, line: bytes) -> None:
    try:
        writer.write(line + b"\n")
        await writer.drain()
    except ConnectionError:  # or it would be taken for the database's
        raise await _ended(process) from None


async def _ended(process: Process) -> VerificationError:
    return VerificationError(
        f"A process that verified ended by itself, with status {await process.wait()}: is "
        "there enough memory? Run it again; with --state it goes on where it was."
    )


def _error(failed: Failed) -> Exception:
    if failed.kind == "topics":
        return TopicsUnreachableError(failed.message)
    if failed.kind == "database":
        return ConnectionError(failed.message)
    if failed.kind == "verification":
        return VerificationError(failed.message)
    return VerificationError(
        f"Verification came upon a defect of its own ({failed.message}): report it, with what "
        "stands above."
    )
