"""Failures: how whatever was raised becomes an answer."""

import logging
from http import HTTPStatus
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap

from api import v1
from api.errors import ApiError, UnavailableError
from api.parameters import AnyRequest
from projections.errors import NotInstalledError, ProjectionError

UNEXPECTED = "Something went wrong on our side. Try again in a few minutes."

_log = logging.getLogger(__name__)


def _api_error(_: AnyRequest, error: ApiError) -> Response[Any]:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return v1.present_failure(error.status, error.code, str(error), headers)


def _projection_error(request: AnyRequest, error: ProjectionError) -> Response[Any]:
    _log.error("request %s: %s", request.scope["state"]["request_id"], error)
    return _api_error(request, unavailable(error))


def unavailable(error: ProjectionError) -> UnavailableError:
    """What a caller gets to know of the database's trouble."""
    if isinstance(error, NotInstalledError):
        return UnavailableError(str(error))
    return UnavailableError("The database can't be reached at the moment. Try again in a while.")


def _missing_path(request: AnyRequest, _: NotFoundException) -> Response[Any]:
    path = request.scope["raw_path"].decode("ascii", "replace")
    message = f"The requested path '{path}' was not found."
    return v1.present_failure(HTTPStatus.NOT_FOUND, "path_missing", message, {})


def _wrong_method(request: AnyRequest, error: MethodNotAllowedException) -> Response[Any]:
    allowed = ", ".join(sorted((error.headers or {})["allow"].split(", ")))
    message = f"The method {request.method} is not allowed here. Allowed are: {allowed}."
    return v1.present_failure(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", message, {"Allow": allowed}
    )


def _refused(_: AnyRequest, error: HTTPException) -> Response[Any]:
    message = f"{error.detail.removesuffix('.')}."
    return v1.present_failure(
        HTTPStatus(error.status_code), "request_refused", message, error.headers or {}
    )


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    _log.error(
        "request %s failed unexpectedly", request.scope["state"]["request_id"], exc_info=error
    )
    return v1.present_failure(HTTPStatus.INTERNAL_SERVER_ERROR, "unexpected", UNEXPECTED, {})


HANDLERS: ExceptionHandlersMap = {
    ApiError: _api_error,
    ProjectionError: _projection_error,
    NotFoundException: _missing_path,
    MethodNotAllowedException: _wrong_method,
    HTTPException: _refused,
    Exception: _unexpected,
}
