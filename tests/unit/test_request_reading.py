"""A request's body: asked for no more often than needed, and a repeat known by it."""

from itertools import combinations
from typing import Any

import pytest

from api.bodies import BODY_BYTES_MAX, read_bytes
from api.errors import BodyTooLargeError, InvalidBodyError
from api.idempotency import request_text
from api.requests import Request

GONE = {"type": "http.disconnect"}


def _part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class _Sent:
    """A request that comes in these messages, and how many of them were asked for."""

    def __init__(self, headers: dict[bytes, bytes], *messages: Any) -> None:
        self.left = list(messages)
        scope: Any = {"headers": list(headers.items()), "path_params": {}, "state": {}}
        self.request = Request(scope, self._receive)

    async def _receive(self) -> Any:
        return self.left.pop(0)


async def test_what_has_no_body_is_not_asked_for_one() -> None:
    for headers in ({}, {b"content-length": b"0"}):
        assert await read_bytes(_Sent(headers).request) == b""


async def test_a_body_that_is_there_is_not_asked_for_its_end() -> None:
    sent = _Sent({b"content-length": b"4"}, _part(b"ab"), _part(b"cd"), GONE)
    assert await read_bytes(sent.request) == b"abcd"
    assert sent.left == [GONE]


async def test_a_body_of_unknown_length_is_read_to_its_end() -> None:
    headers = {b"transfer-encoding": b"chunked", b"content-length": b"1"}
    sent = _Sent(headers, _part(b"ab"), _part(b""), _part(b"c"), _part(b"", more=False))
    assert await read_bytes(sent.request) == b"abc"


@pytest.mark.parametrize(
    "headers", [{b"content-length": b"4"}, {b"transfer-encoding": b"chunked"}]
)
async def test_a_body_that_breaks_off_is_none(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(InvalidBodyError, match="ended before it was complete"):
        await read_bytes(_Sent(headers, _part(b"ab"), GONE).request)


async def test_a_body_that_is_too_large_is_refused_as_soon_as_that_is_known() -> None:
    announced = _Sent({b"content-length": b"%d" % (BODY_BYTES_MAX + 1)})
    grown = _Sent(
        {b"transfer-encoding": b"chunked"}, _part(b"x" * BODY_BYTES_MAX), _part(b"x"), _part(b"x")
    )
    for sent in (announced, grown):
        with pytest.raises(BodyTooLargeError):
            await read_bytes(sent.request)
    assert len(grown.left) == 1


async def test_a_body_may_have_all_that_is_allowed() -> None:
    whole = b"x" * BODY_BYTES_MAX
    sent = _Sent({b"transfer-encoding": b"chunked"}, _part(whole), _part(b"", more=False))
    assert await read_bytes(sent.request) == whole


def test_of_several_headers_the_first_counts_and_all_can_be_had() -> None:
    scope: Any = {"headers": [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], "path_params": {}}
    request = Request(scope, None)  # type: ignore[arg-type]
    assert request.headers == {b"a": b"1", b"b": b"2"}
    assert request.all_of(b"a") == [b"1", b"3"]
    assert request.all_of(b"c") == []


def test_the_layout_of_an_object_says_nothing() -> None:
    texts = {
        request_text("POST", "/v1/x", b"", body)
        for body in (b'{"a":1,"b":[2]}', b' {"b": [2],\n"a":1}')
    }
    assert len(texts) == 1


def test_no_two_requests_are_taken_for_one() -> None:
    requests = [
        ("POST", "/v1/x", b"", b'{"a":1}'),
        ("POST", "/v1/x", b"", b'{"a":1.0}'),
        ("POST", "/v1/x", b"", b'{"a":0,"a":1}'),
        ("POST", "/v1/x", b"", b'{"a":1} x'),
        ("POST", "/v1/x", b"", b'\xef\xbb\xbf{"a":1}'),
        ("POST", "/v1/x", b"", b"{}"),
        ("POST", "/v1/x", b"", b""),
        ("POST", "/v1/x", b"", b"too large"),
        ("POST", "/v1/x", b"", None),
        ("POST", "/v1/x", b"q", None),
        ("POST", "/v1/x", b"q", b""),
        ("POST", "/v1/x", b"too large", b""),
        ("POST", "/v1/x1", b"", b"{}"),
        ("PUT", "/v1/x", b"", b"{}"),
        ("POST", "/v1/x", b"", b'{"a":"\\ud800"}'),
        ("POST", "/v1/x", b"", b"[" * 100_000),
    ]
    for one, other in combinations(requests, 2):
        assert request_text(*one) != request_text(*other), (one, other)
