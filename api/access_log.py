"""The access log: one JSON line per request, under an id that the answer carries too.

Headers, Authorization among them, and query strings never get into it, nor do the tokens of
checkout pages, which are all that it takes to see one.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from urllib.parse import unquote

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct
from typing_extensions import override

from api.access.addresses import Address, TrustedProxies, as_text
from api.calls import Principal
from api.draining import Draining
from api.errors import UnexpectedError
from api.observation import NOBODY, Observer
from schemas.instants import utc_now
from schemas.resources import Failure

_PATH_CHARACTERS_MAX = 1_000
_TOKEN = re.compile(r"(checkout/+)[^/]+", re.IGNORECASE)
_NOT_KEPT = (b"cache-control", b"no-store")
_LAST_OF_CONNECTION = (b"connection", b"close")
_CALLERS_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")

_log = logging.getLogger(__name__)


class AccessLine(Struct, frozen=True, kw_only=True):
    """One request. No `status` means that there was no answer.

    `client` is the address that it comes from, `client_id` names the key that it came with, and
    `merchant_id` and `environment` whom the key acts for: all three are there once its secret has
    been found to be good. `path` is as it was sent, up to its thousandth character; of a checkout page
    it is decoded, and without the token.
    """

    time: datetime
    request_id: str
    client: str | None
    client_id: str | None
    merchant_id: str | None
    environment: str | None
    method: str
    path: str
    status: int | None
    duration_ms: float


class AccessLog:
    """Gives every request an id, and writes a line when it has been answered.

    A caller may choose the id (`X-Request-Id`, at most 64 letters, digits, `_`, `.` and `-`).
    """

    def __init__(
        self,
        app: ASGIApp,
        proxies: TrustedProxies,
        draining: Draining,
        observer: Observer = NOBODY,
    ) -> None:
        self._app = app
        self._proxies = proxies
        self._draining = draining
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        request_id = _request_id(scope)
        peer = scope["client"]
        address = self._proxies.client_address(peer[0] if peer else None, scope["headers"])
        scope["state"] = {
            **scope.get("state", {}),
            "request_id": request_id,
            "client_address": address,
        }
        status: int | None = None
        seconds: float | None = None
        answered = self._observer.request(scope)

        async def send_with_id(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = _with_id(message.get("headers", ()), request_id)
                if self._draining.begun:
                    headers.append(_LAST_OF_CONNECTION)
                message["headers"] = headers
            elif not message.get("more_body"):
                # what a late answer leaves behind may go on
                seconds = time.perf_counter() - start
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            _log.error("request %s failed unexpectedly", request_id, exc_info=error)
            if status is None:
                await _send_unexpected(send_with_id)
        finally:
            if seconds is None:
                seconds = time.perf_counter() - start
            answered(status, seconds)
            _write(_line(scope, status, round(seconds * 1000, 3)))


class _BareLines(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes messages as they are."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


class _Record(logging.LogRecord):
    """A record that tells of no thread, no process and no place: to find those out costs most."""

    def __init__(self, line: str) -> None:
        vars(self).update(_RECORD)
        self.msg = line
        self.created = time.time()
        self.msecs = self.created % 1 * 1000


_RECORD = vars(logging.LogRecord(_log.name, logging.INFO, __file__, 0, "", (), None))


def log_bare_lines() -> None:
    """Write the lines to stderr as they are, whatever other messages look like there."""
    _log.handlers = [_BareLines()]
    _log.propagate = False


def _write(line: str) -> None:
    if _log.isEnabledFor(logging.INFO):
        _log.handle(_Record(line))


def _with_id(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    marked = [*headers, (b"x-request-id", request_id.encode())]
    for name, _ in marked:
        if name.lower() == b"cache-control":
            return marked
    return [*marked, _NOT_KEPT]


def _request_id(scope: HTTPScope) -> str:
    for name, value in scope["headers"]:
        if name.lower() == b"x-request-id" and _CALLERS_ID.fullmatch(value):
            return value.decode()
    return f"req_{secrets.token_hex(12)}"


async def _send_unexpected(send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": HTTPStatus.INTERNAL_SERVER_ERROR,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    body = msgspec.json.encode(Failure(error=str(UnexpectedError())))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _line(scope: HTTPScope, status: int | None, duration_ms: float) -> str:
    state = scope["state"]
    address: Address | None = state["client_address"]
    principal: Principal | None = state.get("principal")
    line = AccessLine(
        time=utc_now(),
        request_id=state["request_id"],
        client=None if address is None else as_text(address),
        client_id=principal.client_id if principal else None,
        merchant_id=principal.owner.merchant_id if principal else None,
        environment=principal.owner.environment if principal else None,
        method=scope["method"],
        path=_path(scope),
        status=status,
        duration_ms=duration_ms,
    )
    return msgspec.json.encode(line).decode()


def _path(scope: HTTPScope) -> str:
    sent = scope["raw_path"].decode("ascii", "replace")
    decoded = unquote(sent) if "%" in sent else sent
    shown = _TOKEN.sub(r"\1…", decoded) if _TOKEN.search(decoded) else sent
    return shown[:_PATH_CHARACTERS_MAX]
