"""Dispatch: from a request to its answer, the same steps for every operation.

Who is calling, how often, and with which scope; then parameters and body; then the operation, and
its result as the version presents it.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import msgspec
from litestar import HttpMethod, Response
from litestar.handlers import HTTPRouteHandler

from api.bodies import decode_body, read_bytes
from api.calls import Call, Operation, Principal
from api.cursors import Cursors, anchor_missing, origin_of
from api.deadlines import Deadline, in_time
from api.errors import ApiError, ResourceMissingError, TryLaterError
from api.idempotency import Answer, IdempotencyKeys, read_key, request_text
from api.parameters import AnyRequest, read_query
from api.services import Services
from api.versions import Version
from projections.pages import UnknownCursorError

_JSON = "application/json"
_ID = re.compile(r"[a-z]{2,4}_[A-Za-z0-9]{1,40}")


class Dispatcher:
    """Answers requests of every operation in every version."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keys = IdempotencyKeys(services.rows, services.secret_keys)
        self._cursors = Cursors(services.secret_keys)

    def route(self, version: Version, operation: Operation) -> HTTPRouteHandler:
        """The operation under the version's path."""

        async def endpoint(request: AnyRequest) -> Response[bytes]:
            return to_response(await self._answer(version, operation, request))

        return HTTPRouteHandler(
            f"/{version.name}{_with_types(operation.path)}",
            http_method=HttpMethod(operation.method),
            status_code=operation.status,
            name=f"{version.name}.{operation.name}",
            include_in_schema=False,
        )(endpoint)

    async def _answer(self, version: Version, operation: Operation, request: AnyRequest) -> Answer:
        deadline = Deadline.of(self._services.settings)
        principal = await self._services.admission.admit(operation.scope, request, deadline.answer)
        _check_ids(request.path_params)
        query = read_query(request, operation.query, hidden=version.hidden, strict=version.strict)
        origin = partial(origin_of, operation.name, principal.owner, request.path_params, query)
        page = self._cursors.page_request(origin, query)
        data = await read_bytes(request, deadline.work)
        body = decode_body(data, operation.body, strict=version.strict)

        async def give(effect_id: str) -> Answer:
            call = Call(
                principal=principal,
                request_id=request.scope["state"]["request_id"],
                path=request.path_params,
                query=query,
                page=page,
                body=body,
                effect_id=effect_id,
                deadline=deadline.work,
            )
            return await self._give(version, operation, call)

        answering = self._once(operation, request, principal, data, give)
        if operation.method == "GET":
            return await in_time(answering, deadline.answer)
        return await self._services.errands.run(answering, deadline.answer)

    async def _once(
        self,
        operation: Operation,
        request: AnyRequest,
        principal: Principal,
        data: bytes,
        give: Callable[[str], Awaitable[Answer]],
    ) -> Answer:
        effect_id = secrets.token_hex(12)
        key = read_key(request) if operation.method == "POST" else None
        if key is None:
            return await give(effect_id)
        text = request_text(operation.method, request.scope["path"], data)
        return await self._keys.answer(principal.owner, key, text, effect_id, give)

    async def _give(self, version: Version, operation: Operation, call: Call) -> Answer:
        try:
            result = await operation.handle(self._services, call)
        except ApiError as error:
            return failure(version, error, operation.method)
        except UnknownCursorError:
            return failure(version, anchor_missing(call.query), operation.method)
        presented = version.present(operation, call, result)
        return Answer(operation.status, msgspec.json.encode(presented))


def _check_ids(path: dict[str, str]) -> None:
    for name, value in path.items():
        if _ID.fullmatch(value) is None:
            raise ResourceMissingError(name.removesuffix("_id"), value)


def failure(version: Version, error: ApiError, method: str) -> Answer:
    """The answer that tells of an error."""
    if isinstance(error, TryLaterError) and method != "GET":
        error = error.of_a_write()
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Basic realm="wallet", charset="UTF-8"'
    return Answer(error.status, msgspec.json.encode(version.present_failure(error)), headers)


def to_response(answer: Answer) -> Response[bytes]:
    return Response(
        answer.body, status_code=answer.status, headers=dict(answer.headers), media_type=_JSON
    )


def _with_types(path: str) -> str:
    return path.replace("}", ":str}")
