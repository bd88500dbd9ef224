"""A task that is cancelled ends, even if it took no notice at first."""

import asyncio
from contextlib import suppress

import pytest

from engine import cancelling
from engine.cancelling import cancel


async def for_ever() -> None:
    await asyncio.Event().wait()


async def deaf_once() -> None:
    with suppress(asyncio.CancelledError):
        await for_ever()
    await for_ever()


async def failing() -> None:
    try:
        await for_ever()
    finally:
        raise ConnectionError


async def test_what_has_ended_needs_nothing() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await cancel({task})
    await cancel(())


async def test_a_task_that_took_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "_AGAIN_S", 0.01)
    tasks = [asyncio.create_task(work()) for work in (for_ever, deaf_once, failing)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await cancel(tasks)
    assert [task.done() for task in tasks] == [True] * 3
