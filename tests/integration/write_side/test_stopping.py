"""SIGTERM ends an engine whatever it waits for at that moment, and in good order."""

import asyncio
import gc
import logging
from contextlib import suppress

import pytest

from engine.process import work
from tests.support.engines import Service
from tests.support.interruptions import Interrupted

STOP_S_MAX = 12.0
FORGOTTEN_WHILE_OPENED = "unexpected connection_lost() call"
"""What asyncpg leaves of a connection that it was opening; it does close it."""


async def test_an_engine_is_told_to_stop_at_any_moment_of_its_start(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tasks = asyncio.all_tasks()
    nth, started = 0, False
    while not started:
        nth += 1
        caplog.clear()
        await stopped_at(running, nth)
        started = any("engine_started" in message for message in caplog.messages)
        assert complaints(caplog) == [], f"at wait {nth}"
    assert nth > 10
    assert await others(tasks) == set()


async def stopped_at(running: Service, nth: int) -> None:
    stop = asyncio.Event()

    def terminate() -> None:
        # as the process does
        stop.set()
        engine.cancel()

    interrupted = Interrupted(work(running.settings, "engine", stop), nth, terminate)
    engine = asyncio.create_task(interrupted.run())
    done, _ = await asyncio.wait({engine}, timeout=STOP_S_MAX)
    assert done, f"it goes on after a signal at wait {nth}"
    with suppress(asyncio.CancelledError):
        engine.result()
    assert interrupted.waits >= nth


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of errors that nobody took care of, or that ended something."""
    gc.collect()
    return [
        record.getMessage()
        for record in caplog.records
        if record.exc_info or (record.name == "asyncio" and record.levelno >= logging.WARNING)
        if FORGOTTEN_WHILE_OPENED not in record.getMessage()
    ]


async def others(tasks: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """The tasks besides these that don't come to an end."""
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=5)
    return left
