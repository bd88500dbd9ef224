"""Deadlines: every request is answered in time, whatever it waits for."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, Self, TypeVar

from api.errors import ApiError, UnavailableError
from engine.settings import Settings

Result = TypeVar("Result")

_WORKING_SHARE: Final = 0.98
_ANSWERING_SHARE: Final = 0.99
"""Of the time that a request has; the rest is for sending its answer."""

_left_behind: set[asyncio.Task[Any]] = set()


class Deadline(NamedTuple):
    """By when the work for a request ends, and by when its answer is given, ended or not.

    Both are of the event loop's clock.
    """

    work: float
    answer: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """That of a request which comes now."""
        now, seconds = asyncio.get_running_loop().time(), settings.api_deadline_ms / 1000
        return cls(now + seconds * _WORKING_SHARE, now + seconds * _ANSWERING_SHARE)


async def ends_by(task: asyncio.Task[Any], deadline: float) -> bool:
    """Whether the task has ended by the deadline of the loop's clock; it goes on if not."""
    remaining_s = deadline - asyncio.get_running_loop().time()
    await asyncio.wait({task}, timeout=max(0.0, remaining_s))
    return task.done()


async def in_time(work: Coroutine[Any, Any, Result], deadline: float) -> Result:
    """What the work gives, or UnavailableError at the deadline of the loop's clock.

    The work is cancelled then, and when whoever waits here is; how long that takes it, which is long
    while the database is silent, nobody waits for.
    """
    task = asyncio.create_task(work)
    try:
        if await ends_by(task, deadline):
            return task.result()
    finally:
        if not task.done():
            _left_behind.add(task)
            task.add_done_callback(_forget)
            task.cancel()
    raise no_answer_in_time()


def no_answer_in_time() -> ApiError:
    """What a caller is told who may simply ask again."""
    return UnavailableError("There was no answer in time. Try again in a while.")


def _forget(task: asyncio.Task[Any]) -> None:
    _left_behind.discard(task)
    if not task.cancelled():
        # nobody waits for it
        task.exception()
