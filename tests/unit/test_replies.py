"""One answer to each request, in time, whatever works for it."""

import asyncio
from typing import Any

import pytest

from api.errors import ApiError, OutcomeUnknownError
from api.idempotency import Answer
from api.replies import Reply
from tests.support.polling import poll

DONE = Answer(200, b'"done"', {"Idempotency-Replayed": "true"})


class _Caller:
    """What has been sent to it."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, message: Any) -> None:
        await asyncio.sleep(0)
        self.messages.append(message)

    @property
    def answers(self) -> list[tuple[int, bytes]]:
        starts, bodies = self.messages[::2], self.messages[1::2]
        return [(each["status"], body["body"]) for each, body in zip(starts, bodies, strict=True)]


def _told(error: ApiError) -> Answer:
    return Answer(error.status, error.code.encode())


def _reply(caller: _Caller, after_s: float) -> Reply:
    return Reply(caller, asyncio.get_running_loop().time() + after_s, _told)


async def test_an_answer_in_time_is_the_only_one() -> None:
    caller = _Caller()
    reply = _reply(caller, 0.01)
    await reply.give(DONE)
    await asyncio.sleep(0.02)
    assert caller.answers == [(200, b'"done"')]
    assert caller.messages[0]["headers"] == [
        (b"content-type", b"application/json"),
        (b"content-length", b"6"),
        (b"idempotency-replayed", b"true"),
    ]
    assert not reply.was_late


async def test_at_the_deadline_the_work_is_given_up_and_the_caller_told() -> None:
    caller, ended = _Caller(), False

    async def work() -> None:
        nonlocal ended
        reply = _reply(caller, 0.01)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()
        assert reply.was_given_up
        await reply.drop()
        # a timeout further on would take the cancellation for somebody else's
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        ended = True

    await asyncio.create_task(work())
    assert ended
    assert caller.answers == [(503, b"unavailable")]


async def test_work_that_goes_on_is_not_disturbed_and_what_comes_of_it_not_sent() -> None:
    caller, may_end, ended = _Caller(), asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        reply = _reply(caller, 0.01)
        reply.late, reply.goes_on = OutcomeUnknownError, True
        await may_end.wait()
        ended = True
        assert reply.was_late
        assert not reply.was_given_up
        await reply.give(DONE)

    task = asyncio.create_task(work())
    await poll(lambda: len(caller.messages) == 2)
    assert not ended
    may_end.set()
    await task
    assert caller.answers == [(503, b"outcome_unknown")]


async def test_an_abandoned_reply_says_nothing() -> None:
    caller = _Caller()
    _reply(caller, 0.01).abandon()
    await asyncio.sleep(0.02)
    assert caller.messages == []
