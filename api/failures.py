"""Failures: how whatever was raised becomes an answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap

from api.errors import (
    ApiError,
    MethodError,
    PathMissingError,
    TryLaterError,
    UnavailableError,
    UnexpectedError,
)
from api.idempotency import Answer
from api.parameters import AnyRequest
from api.versions import Version, version_of
from projections.errors import NotInstalledError, ProjectionError

_log = logging.getLogger(__name__)


def unavailable(error: ProjectionError) -> UnavailableError:
    """What a caller gets to know of the database's trouble."""
    if isinstance(error, NotInstalledError):
        return UnavailableError(str(error))
    return UnavailableError("The database can't be reached at the moment. Try again in a while.")


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


def answer_to(error: Exception, version: Version, method: str, request_id: str) -> Answer:
    """The answer to a request that ended with `error`; what is no fault of the caller is logged."""
    if isinstance(error, ProjectionError):
        _log.error("request %s: %s", request_id, error)
        error = unavailable(error)
    elif not isinstance(error, ApiError):
        _log.error("request %s failed unexpectedly", request_id, exc_info=error)
        error = UnexpectedError()
    return failure(version, error, method)


def exception_handlers(versions: Mapping[str, Version]) -> ExceptionHandlersMap:
    """One for each kind of error; the version that the path belongs to presents it."""

    def failed(request: AnyRequest, error: Exception) -> Response[Any]:
        version = version_of(request.scope["path"], versions)
        request_id = request.scope["state"]["request_id"]
        return _to_response(answer_to(error, version, request.method, request_id))

    def missing_path(request: AnyRequest, _: NotFoundException) -> Response[Any]:
        path = request.scope["raw_path"].decode("ascii", "replace")
        return failed(request, PathMissingError(path))

    def wrong_method(request: AnyRequest, error: MethodNotAllowedException) -> Response[Any]:
        allowed = ", ".join(sorted((error.headers or {})["allow"].split(", ")))
        response = failed(request, MethodError(request.method, allowed))
        response.headers["Allow"] = allowed
        return response

    def refused(request: AnyRequest, error: HTTPException) -> Response[Any]:
        refusal = ApiError(f"{error.detail.removesuffix('.')}.")
        refusal.code, refusal.status = "request_refused", HTTPStatus(error.status_code)
        return failed(request, refusal)

    return {
        NotFoundException: missing_path,
        MethodNotAllowedException: wrong_method,
        HTTPException: refused,
        Exception: failed,
    }


def _to_response(answer: Answer) -> Response[bytes]:
    return Response(
        answer.body,
        status_code=answer.status,
        headers=dict(answer.headers),
        media_type="application/json",
    )
