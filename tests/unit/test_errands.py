"""What a request has begun ends, whoever stops waiting for it."""

import asyncio
import logging

import pytest

from api.errands import Errands, errands
from api.errors import OutcomeUnknownError


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class _Work:
    """Work that ends when it is let."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.ended = False

    async def do(self) -> str:
        await self.may_end.wait()
        self.ended = True
        return "done"


async def test_the_result_is_given_to_whoever_waits() -> None:
    work = _Work()
    work.may_end.set()
    assert await Errands().run(work.do(), _in(5)) == "done"


async def test_an_error_is_raised_to_whoever_waits() -> None:
    async def fail() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await Errands().run(fail(), _in(5))


async def test_the_deadline_ends_the_wait_and_not_the_work() -> None:
    work = _Work()
    async with errands() as running:
        with pytest.raises(OutcomeUnknownError):
            await running.run(work.do(), _in(0.01))
        assert not work.ended
        work.may_end.set()
    assert work.ended


async def test_a_cancelled_caller_does_not_cancel_the_work() -> None:
    work = _Work()
    async with errands() as running:
        caller = asyncio.create_task(running.run(work.do(), _in(5)))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        work.may_end.set()
    assert work.ended


async def test_the_end_waits_a_bounded_time() -> None:
    work, running = _Work(), Errands()
    with pytest.raises(OutcomeUnknownError):
        await running.run(work.do(), _in(0))
    await running.end(timeout_s=0.01)
    assert not work.ended


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    may_fail = asyncio.Event()

    async def fail() -> None:
        await may_fail.wait()
        raise OSError("broken")

    with caplog.at_level(logging.WARNING):
        async with errands() as running:
            with pytest.raises(OutcomeUnknownError):
                await running.run(fail(), _in(0))
            may_fail.set()
    assert "broken" in caplog.text
