"""Hints between processes."""

import asyncio
from typing import Any

import pytest

from projections.signals import Signals


class Connection:
    """Answers at once."""

    async def execute(self, *_: Any) -> None:
        return

    async def add_listener(self, *_: Any) -> None:
        return


@pytest.mark.parametrize("steps", range(6))
async def test_telling_ends_when_cancelled_at_the_very_moment_of_a_hint(steps: int) -> None:
    """Who ends it waits for its end: a cancellation that is lost stops the projector for good."""
    signals = Signals(lambda: None)
    telling = asyncio.create_task(signals.run(Connection(), asyncio.Event()))
    await asyncio.sleep(0.01)
    signals.model_moved(0)
    for _ in range(steps):
        await asyncio.sleep(0)
    telling.cancel()
    done, _ = await asyncio.wait({telling}, timeout=2)
    assert done
    assert telling.cancelled()
