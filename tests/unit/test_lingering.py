"""When a body is read on before its answer, and when that would only keep the caller waiting."""

from typing import Any

import pytest

from api.lingering import Lingering

CLOSE = (b"connection", b"close")


class _Server:
    """Hands over the parts of a body, and notes what happens in which order."""

    def __init__(self, *parts: bytes, ended: bool = True) -> None:
        self.parts = list(parts)
        self.ended = ended
        self.happened: list[Any] = []

    async def receive(self) -> Any:
        if not self.parts:
            self.happened.append("gone")
            return {"type": "http.disconnect"}
        part = self.parts.pop(0)
        self.happened.append(part)
        more = bool(self.parts) or not self.ended
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.happened.append(CLOSE if CLOSE in message["headers"] else "answer")


async def _refuse(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_one(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await _refuse(scope, receive, send)


async def _happened(app: Any, server: _Server, *headers: tuple[bytes, bytes]) -> list[Any]:
    scope: Any = {"type": "http", "headers": list(headers)}
    await Lingering(app)(scope, server.receive, server.send)
    return server.happened


CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize("header", [CHUNKED, (b"content-length", b"2")])
async def test_a_small_body_is_read_before_the_answer(header) -> None:
    assert await _happened(_refuse, _Server(b"a", b"b"), header) == [b"a", b"b", "answer"]


async def test_a_large_one_after_it() -> None:
    length = (b"content-length", b"65537")
    parts = [b"a" * 65_536, b"a"]
    assert await _happened(_refuse, _Server(*parts), length) == [CLOSE, *parts]


async def test_one_that_turns_out_to_be_large_before_and_after_it() -> None:
    parts = [b"a" * 65_536, b"a", b"a"]
    assert await _happened(_refuse, _Server(*parts), CHUNKED) == [*parts[:2], CLOSE, b"a"]


@pytest.mark.parametrize("length", [b"-1", b"x", b""])
async def test_a_length_that_is_none_says_nothing(length) -> None:
    happened = await _happened(_refuse, _Server(b"a"), (b"content-length", length))
    assert happened == [b"a", "answer"]


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_where_there_is_no_body_nothing_is_asked_for(headers) -> None:
    assert await _happened(_refuse, _Server(), *headers) == ["answer"]


async def test_what_is_read_to_its_end_is_not_asked_for_again() -> None:
    server = _Server(b"ab", ended=False)
    assert await _happened(_read_one, server, (b"content-length", b"2")) == [b"ab", "answer"]


async def test_an_answer_in_place_of_one_that_waits_for_the_body_comes_at_once() -> None:
    server = _Server(ended=False)

    async def give_up(scope: Any, receive: Any, send: Any) -> None:
        waiting = receive().__await__()
        next(waiting)
        await _refuse(scope, receive, send)
        waiting.close()

    async def never() -> Any:
        server.happened.append("asked")
        if len(server.happened) == 1:
            await _Suspended()
        return {"type": "http.disconnect"}

    scope: Any = {"type": "http", "headers": [CHUNKED]}
    await Lingering(give_up)(scope, never, server.send)
    assert server.happened == ["asked", CLOSE, "asked"]


async def test_a_connection_is_said_to_be_the_last_only_once() -> None:
    async def closing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [CLOSE]})

    told: list[Any] = []

    async def send(message: Any) -> None:
        told.extend(message["headers"])

    scope: Any = {"type": "http", "headers": [(b"content-length", b"70000")]}
    await Lingering(closing)(scope, _Server().receive, send)
    assert told == [CLOSE]


class _Suspended:
    def __await__(self) -> Any:
        yield
