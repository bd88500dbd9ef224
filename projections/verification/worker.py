"""A process that verifies shards, one after another, for the one that started it.

It is told what to do in lines on its standard input: first the task, then the number of a shard
each time it is done with one. It answers in lines, and is gone as soon as its input ends.
"""

import asyncio
import gc
import os
import sys
import traceback
from asyncio import Queue, StreamReader, StreamReaderProtocol
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from engine.replay import partition_count
from engine.settings import Settings
from projections.errors import ProjectionError
from projections.session import AWAY
from projections.verification.connecting import connected
from projections.verification.errors import TopicsUnreachableError
from projections.verification.shard_job import ShardJob
from projections.verification.task import Answer, Done, Failed, Task, Told
from projections.verification.topics import Topics, reaching_topics

_YOUNG_OBJECTS_MAX: Final = 50_000
"""Some pages of entries: nearly all of them are gone by themselves with their page."""

_LINE_BYTES_MAX: Final = 1 << 26


def main() -> None:
    """Entry point of the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS_MAX)
    try:
        asyncio.run(_work())
    except BrokenPipeError:
        # nobody is there any more who wants to know
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 whatever it is, the one who waits has to hear of it
        _answer(failure_of(error))
        sys.exit(1)


def failure_of(error: Exception) -> Failed:
    """What is answered where a shard can't be verified; a defect is shown here and now."""
    if isinstance(error, TopicsUnreachableError):
        return Failed("topics", str(error))
    if isinstance(error, ProjectionError):
        return Failed("verification", str(error))
    if isinstance(error, AWAY):
        return Failed("database", str(error))
    traceback.print_exception(error)
    return Failed("defect", repr(error))


async def _work() -> None:
    lines: Queue[bytes] = Queue()
    listening = asyncio.create_task(_listen(lines))
    task = msgspec.json.decode(await lines.get(), type=Task)
    settings = Settings(**task.settings)
    async with connected(settings) as connection:
        partitions = await partition_count(connection)
        if task.kafka and partitions is not None:
            async with reaching_topics(settings, task.shards) as topics:
                await _serve(task, lines, connection, topics, partitions)
        else:
            await _serve(task, lines, connection, None, partitions)
    await listening


async def _listen(lines: Queue[bytes]) -> None:
    reader = StreamReader(limit=_LINE_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        lines.put_nowait(line)
    # whoever wanted the proof is gone, and what was committed to state files is safe
    os._exit(1)


async def _serve(
    task: Task,
    lines: Queue[bytes],
    connection: asyncpg.Connection,
    topics: Topics | None,
    partitions: int | None,
) -> None:
    while True:
        shard = int(await lines.get())
        job = ShardJob(
            shard=shard,
            instant=task.instant,
            signed=[each for each in task.signed if each.shard == shard],
            state_file=Path(file) if (file := task.state_files.get(shard)) else None,
        )
        outcome = await job.run(connection, topics, partitions, lambda now: _answer(Told(now)))
        _answer(Done(outcome))


def _answer(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
