"""Waiting for something to become true, with a deadline."""

import asyncio
import time
from collections.abc import Callable

_INTERVAL_S = 0.02


async def poll(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return as soon as the condition holds; fail if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout_s:.0f} s")
        await asyncio.sleep(_INTERVAL_S)
