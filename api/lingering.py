"""Lingering: what becomes of a body when the answer comes before its end.

A server that closes a connection with unread bytes in it makes the system reset it, and the reset
destroys what the caller has not read yet: the answer (RFC 9112, section 9.6). So the rest of the
body is read and thrown away, up to a bound. A small one is waited for a moment, and the connection
stays good; otherwise the answer says that it is the connection's last.
"""

import asyncio
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send

from api.bodies import BODY_BYTES_MAX

BYTES_MAX: Final = 16 * 1024 * 1024
"""How much of a body is read after its answer."""
_SECONDS_MAX: Final = 5
_WAITED_FOR_S_MAX: Final = 2
_LAST_OF_CONNECTION: Final = (b"connection", b"close")


class Lingering:
    """Reads what the application leaves of a body.

    What `BODY_BYTES_MAX` hold, and is there in two seconds, is read before the answer; of the rest
    `BYTES_MAX` and what comes in five seconds after it, and then the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        body = _Body.of(scope, receive)
        if body is None:
            await self._app(scope, receive, send)
            return

        async def send_in_time(message: Message) -> None:
            if (
                not body.ended
                and message["type"] == "http.response.start"
                and not await body.ends_soon()
            ):
                headers = [*message.get("headers", ())]
                if _LAST_OF_CONNECTION not in headers:
                    headers.append(_LAST_OF_CONNECTION)
                message["headers"] = headers
            await send(message)

        await self._app(scope, body.receive, send_in_time)
        if not body.ended:
            await body.discard(BYTES_MAX, _SECONDS_MAX)


class _Body:
    """A body on its way: how much of it was received, and whether it has `ended` with that.

    `announced`: how many bytes there are, if anybody has said so.
    """

    __slots__ = ("_announced", "_receive", "_received", "_receiving", "ended")

    def __init__(self, receive: Receive, announced: int | None) -> None:
        self._receive = receive
        self._announced = announced
        self._received = 0
        self._receiving = False
        self.ended = False

    @classmethod
    def of(cls, scope: HTTPScope, receive: Receive) -> "_Body | None":
        """The request's body, if it has one."""
        announced: int | None = 0
        for name, value in scope["headers"]:
            if name == b"content-length" and announced is not None:
                announced = int(value[:20]) if value.isdigit() else None
            elif name == b"transfer-encoding":
                announced = None
        return None if announced == 0 else cls(receive, announced)

    async def receive(self) -> ReceiveMessage:
        """The next part, as the server hands it over."""
        self._receiving = True
        try:
            message = await self._receive()
        finally:
            self._receiving = False
        if message["type"] == "http.request":
            self._received += len(message["body"])
            self.ended = not message["more_body"] or self._received == self._announced
        else:
            self.ended = True
        return message

    async def ends_soon(self) -> bool:
        """Whether nothing is left of it, after a moment's wait for what is small."""
        if self._is_worth_a_wait():
            await self.discard(BODY_BYTES_MAX - self._received, _WAITED_FOR_S_MAX)
        return self.ended

    async def discard(self, bytes_max: int, seconds_max: float) -> None:
        """Read on and throw away, no further than these bounds."""
        end = self._received + bytes_max
        try:
            async with asyncio.timeout(seconds_max):
                while not self.ended and self._received <= end:
                    await self.receive()
        except TimeoutError:
            pass

    def _is_worth_a_wait(self) -> bool:
        # who receives now has waited for it until the deadline
        return not self._receiving and (self._announced or self._received) <= BODY_BYTES_MAX
