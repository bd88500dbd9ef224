"""Replies: each request gets one answer, and gets it in time.

What works for an answer is the server's own task, so a caller who hangs up ends nothing. At the
deadline another one answers in its place.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from litestar.types import Send

from api.deadlines import no_answer_in_time
from api.errors import ApiError
from api.idempotency import Answer

_JSON: Final = (b"content-type", b"application/json")


class Reply:
    """The answer to the request that the current task works for.

    Unless it is given before `deadline`, of the event loop's clock, the caller is told what `late`
    says by then, as `failing` presents it, and the task is cancelled unless it `goes_on`.
    """

    def __init__(self, send: Send, deadline: float, failing: Callable[[ApiError], Answer]) -> None:
        loop = asyncio.get_running_loop()
        self.late: Callable[[], ApiError] = no_answer_in_time
        self.goes_on = False
        self._send = send
        self._failing = failing
        self._task = asyncio.current_task(loop)
        self._refusal: asyncio.Task[None] | None = None
        self._timer = loop.call_at(deadline, self._refuse)

    @property
    def was_late(self) -> bool:
        """Whether the deadline has passed, and the caller been told so."""
        return self._refusal is not None

    @property
    def was_given_up(self) -> bool:
        """Whether the task was cancelled as well."""
        return self.was_late and not self.goes_on

    async def give(self, answer: Answer) -> None:
        """Send the answer, unless it comes too late."""
        self._timer.cancel()
        if self._refusal is None:
            await send_answer(self._send, answer)
        else:
            await self._refusal

    async def drop(self) -> None:
        """Leave it at what the caller was told; whoever is cancelled for it goes on."""
        if self._task is not None:
            self._task.uncancel()
        if self._refusal is not None:
            await self._refusal

    def abandon(self) -> None:
        """There will be no answer."""
        self._timer.cancel()

    def _refuse(self) -> None:
        answer = self._failing(self.late())
        self._refusal = asyncio.create_task(send_answer(self._send, answer))
        if self._task is not None and not self.goes_on:
            self._task.cancel()


async def send_answer(send: Send, answer: Answer) -> None:
    """Send the answer as a whole."""
    headers = [_JSON, (b"content-length", b"%d" % len(answer.body))]
    for name, value in answer.headers.items():
        headers.append((name.lower().encode(), value.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
