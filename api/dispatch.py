"""Dispatch: from a request to its answer, the same steps for every operation.

Who is calling, how often, and with which scope; then the body as it was sent, and the
Idempotency-Key that it comes under; then parameters and fields, the operation, and its result as
the version presents it.
"""

import asyncio
import logging
import re
import secrets
from functools import partial

import msgspec
from litestar import HttpMethod
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from api.bodies import decode_body, read_bytes
from api.calls import Call, NoBody, Operation, Principal
from api.cursors import Cursors, anchor_missing, origin_of
from api.deadlines import Deadline, no_answer_in_time
from api.errors import (
    ApiError,
    BodyTimeoutError,
    BodyTooLargeError,
    OutcomeUnknownError,
    ResourceMissingError,
)
from api.failures import answer_to, failure
from api.idempotency import Answer, IdempotencyKeys, read_key, request_text
from api.parameters import read_query
from api.replies import Reply
from api.requests import Request
from api.routing import Route
from api.services import Services
from api.versions import Version
from projections.pages import UnknownCursorError

_ID = re.compile(r"[a-z]{2,4}_[A-Za-z0-9]{1,40}")

_log = logging.getLogger(__name__)

_Body = bytes | BodyTooLargeError
"""As it was sent, or why that will never be known."""


class Endpoint:
    """Answers requests for one operation in one version, as an ASGI application."""

    def __init__(
        self,
        services: Services,
        keys: IdempotencyKeys,
        cursors: Cursors,
        version: Version,
        operation: Operation,
    ) -> None:
        self._services = services
        self._keys = keys
        self._cursors = cursors
        self._version = version
        self._operation = operation

    @property
    def route(self) -> Route:
        """The operation under the version's path."""
        path = f"/{self._version.name}{self._operation.path}"
        return Route(self._operation.method, path, self)

    @property
    def handler(self) -> HTTPRouteHandler:
        """The same for the framework."""

        async def respond() -> ASGIApp:
            return self

        return HTTPRouteHandler(
            self.route.path.replace("}", ":str}"),
            http_method=HttpMethod(self._operation.method),
            status_code=self._operation.status,
            name=f"{self._version.name}.{self._operation.name}",
            include_in_schema=False,
        )(respond)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            raise TypeError(f"{self._operation.name} is asked for by HTTP alone")
        await self._respond(scope, receive, send)

    async def _respond(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        deadline = Deadline.of(self._services.settings)
        reply = Reply(send, deadline.answer, self._failure)
        try:
            answer = await self._answer(request, reply, deadline.work)
        except asyncio.CancelledError:
            if not reply.was_given_up:
                reply.abandon()
                raise
            await reply.drop()
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
            if reply.was_late:
                _log.warning("a request that nobody waits for has failed: %r", error)
            answer = answer_to(error, self._version, self._operation.method, request.id)
        await reply.give(answer)

    async def _answer(self, request: Request, reply: Reply, deadline: float) -> Answer:
        services, writes = self._services, self._operation.method != "GET"
        principal = await services.admission.admit(self._operation.scope, request)
        key = read_key(request) if self._operation.method == "POST" else None
        reply.late = BodyTimeoutError
        body = await self._body(request)
        reply.late = OutcomeUnknownError if writes else no_answer_in_time
        if writes:
            reply.goes_on = True
            services.errands.join()
        give = partial(self._give, request, principal, body, deadline)
        effect_id = secrets.token_hex(12)
        if key is None:
            return await give(effect_id)
        text = self._text(request, body)
        return await self._keys.answer(principal.owner, key, text, effect_id, give)

    async def _body(self, request: Request) -> _Body:
        try:
            return await read_bytes(request)
        except BodyTooLargeError as error:
            return error

    def _text(self, request: Request, body: _Body) -> bytes:
        if isinstance(body, bytes) and self._operation.body is NoBody:
            body = body or b"{}"
        return request_text(
            self._operation.method,
            request.scope["path"],
            request.scope["query_string"],
            body if isinstance(body, bytes) else None,
        )

    async def _give(
        self, request: Request, principal: Principal, body: _Body, deadline: float, effect_id: str
    ) -> Answer:
        try:
            if isinstance(body, BodyTooLargeError):
                raise body
            call = self._call(request, principal, body, deadline, effect_id)
            result = await self._handle(call)
        except ApiError as error:
            return self._failure(error)
        presented = self._version.present(self._operation, call, result)
        return Answer(self._operation.status, msgspec.json.encode(presented))

    async def _handle(self, call: Call) -> object:
        try:
            return await self._operation.handle(self._services, call)
        except UnknownCursorError:
            raise anchor_missing(call.query) from None

    def _call(
        self, request: Request, principal: Principal, body: bytes, deadline: float, effect_id: str
    ) -> Call:
        version, operation, path = self._version, self._operation, request.path_params
        _check_ids(path)
        query = read_query(request, operation.query, hidden=version.hidden, strict=version.strict)
        origin = partial(origin_of, operation.name, principal.owner, path, query)
        return Call(
            principal=principal,
            request_id=request.id,
            path=path,
            query=query,
            page=self._cursors.page_request(origin, query),
            body=decode_body(body, operation.body, strict=version.strict),
            effect_id=effect_id,
            deadline=deadline,
        )

    def _failure(self, error: ApiError) -> Answer:
        return failure(self._version, error, self._operation.method)


class Dispatcher:
    """Has an endpoint for every operation in every version."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keys = IdempotencyKeys(services.rows, services.secret_keys)
        self._cursors = Cursors(services.secret_keys)

    def endpoint(self, version: Version, operation: Operation) -> Endpoint:
        """What answers requests for the operation in this version."""
        return Endpoint(self._services, self._keys, self._cursors, version, operation)


def _check_ids(path: dict[str, str]) -> None:
    for name, value in path.items():
        if _ID.fullmatch(value) is None:
            raise ResourceMissingError(name.removesuffix("_id"), value)
