"""Ends tasks that are no longer wanted, whatever they wait for."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_S: Final = 6.0
"""Longer than any task takes that has taken note."""


async def cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended; what they raise meanwhile is of no interest.

    Once may not be enough: up to Python 3.11 asyncio.wait_for, in which asyncpg connects, swallows
    a cancellation that comes together with what it waits for.
    """
    pending = set(tasks)
    for task in pending:
        task.add_done_callback(take_note)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)


def take_note(task: asyncio.Task[Any]) -> None:
    """Look at what a task ended with, or the loop would report an error that is of no interest."""
    if not task.cancelled():
        task.exception()
