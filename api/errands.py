"""Errands: what a request has begun is brought to its end, whether or not its caller waits.

A client that disconnects, or a deadline that passes, must not leave a command sent and its answer
not kept.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from api.deadlines import ends_by
from api.errors import OutcomeUnknownError

Result = TypeVar("Result")

_END_S_MAX: Final = 5.0

_log = logging.getLogger(__name__)


class Errands:
    """Runs each in a task of its own."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, Result], deadline: float) -> Result:
        """What the work gives, or OutcomeUnknownError at the deadline of the loop's clock.

        The work goes on after the deadline, and after the cancellation of whoever waits here.
        """
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            if await ends_by(task, deadline):
                return task.result()
        finally:
            if not task.done():
                task.add_done_callback(_tell_of_failure)
        raise OutcomeUnknownError

    def join(self) -> None:
        """Have the current task waited for at the end, as those that `run` begins are."""
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def end(self, timeout_s: float) -> None:
        """Wait for what is under way, then drop what is left: a retry of it is safe."""
        if not self._under_way:
            return
        _, left = await asyncio.wait(self._under_way, timeout=timeout_s)
        for task in left:
            task.cancel()
        if left:
            _log.warning("%d requests were dropped before their outcome was known", len(left))
            await asyncio.wait(left)


def _tell_of_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("a request that nobody waits for has failed: %r", error)


@asynccontextmanager
async def errands() -> AsyncIterator[Errands]:
    """Errands that have ended, or have been dropped, at the end."""
    running = Errands()
    try:
        yield running
    finally:
        await running.end(_END_S_MAX)
