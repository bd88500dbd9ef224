"""A process that verifies shards, one after another, for the one that started it.

It is told what to do in lines on its standard input, and answers in lines: first the task, then
the number of a shard each time it is done with one. It ends when its input does.
"""

import asyncio
import sys
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct

from engine.replay import partition_count
from engine.settings import Settings
from projections.errors import ProjectionError
from projections.verification.connecting import connected
from projections.verification.errors import TopicsUnreachableError
from projections.verification.progress import Progress
from projections.verification.shard_job import ShardJob, ShardOutcome
from projections.verification.signed import SignedShard
from projections.verification.topics import Topics, reaching_topics


class Task(Struct, frozen=True, kw_only=True):
    """What a worker does for any shard. `settings` are all of them, passwords included."""

    settings: dict[str, Any]
    kafka: bool
    shards: list[int]
    instant: datetime
    signed: list[SignedShard]
    state_files: dict[int, str]


class Done(Struct, frozen=True, tag="done"):
    """One shard."""

    outcome: ShardOutcome


class Told(Struct, frozen=True, tag="progress"):
    """How far it is with a shard."""

    progress: Progress


class Failed(Struct, frozen=True, tag="failed"):
    """It can't go on. `kind`: what could not be reached, or whose fault it is."""

    kind: str
    message: str


Answer = Done | Told | Failed

_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


def main() -> None:
    """Entry point of the process."""
    try:
        asyncio.run(_work())
    except BrokenPipeError:
        # nobody is there any more who wants to know
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 whatever it is, the one who waits has to hear of it
        _answer(_failure(error))
        sys.exit(1)


def _failure(error: Exception) -> Failed:
    if isinstance(error, TopicsUnreachableError):
        return Failed("topics", str(error))
    if isinstance(error, ProjectionError):
        return Failed("verification", str(error))
    if isinstance(error, _LOST):
        return Failed("database", str(error))
    traceback.print_exc()
    return Failed("defect", repr(error))


async def _work() -> None:
    task = msgspec.json.decode(await _line(), type=Task)
    settings = Settings(**task.settings)
    async with connected(settings) as connection:
        partitions = await partition_count(connection)
        if task.kafka and partitions is not None:
            async with reaching_topics(settings, task.shards) as topics:
                await _serve(task, connection, topics, partitions)
        else:
            await _serve(task, connection, None, partitions)


async def _serve(
    task: Task, connection: asyncpg.Connection, topics: Topics | None, partitions: int | None
) -> None:
    while line := await _line():
        shard = int(line)
        job = ShardJob(
            shard=shard,
            instant=task.instant,
            signed=[each for each in task.signed if each.shard == shard],
            state_file=Path(file) if (file := task.state_files.get(shard)) else None,
        )
        outcome = await job.run(connection, topics, partitions, lambda now: _answer(Told(now)))
        _answer(Done(outcome))


async def _line() -> bytes:
    # a thread, or Kafka's heartbeats would stand still meanwhile
    return await asyncio.to_thread(sys.stdin.buffer.readline)


def _answer(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
