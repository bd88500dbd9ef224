"""Waiting for something to become true, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_INTERVAL_S = 0.02


async def poll(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        await _pause(deadline, timeout_s)


async def poll_async(condition: Callable[[], Awaitable[object]], timeout_s: float = 60.0) -> None:
    """As `poll`, for a condition that has to be awaited."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        await _pause(deadline, timeout_s)


async def _pause(deadline: float, timeout_s: float) -> None:
    if time.monotonic() > deadline:
        raise AssertionError(f"not true within {timeout_s:.0f} s")
    await asyncio.sleep(_INTERVAL_S)
