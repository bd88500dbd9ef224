"""Failures: how whatever was raised becomes an answer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap

from api.dispatch import failure, to_response
from api.errors import ApiError, MethodError, PathMissingError, UnavailableError, UnexpectedError
from api.parameters import AnyRequest
from api.versions import Version, version_of
from projections.errors import NotInstalledError, ProjectionError

_log = logging.getLogger(__name__)


def unavailable(error: ProjectionError) -> UnavailableError:
    """What a caller gets to know of the database's trouble."""
    if isinstance(error, NotInstalledError):
        return UnavailableError(str(error))
    return UnavailableError("The database can't be reached at the moment. Try again in a while.")


def exception_handlers(versions: Mapping[str, Version]) -> ExceptionHandlersMap:
    """One for each kind of error; the version that the path belongs to presents it."""

    def api_error(request: AnyRequest, error: ApiError) -> Response[Any]:
        version = version_of(request.scope["path"], versions)
        return to_response(failure(version, error, request.method))

    def projection_error(request: AnyRequest, error: ProjectionError) -> Response[Any]:
        _log.error("request %s: %s", request.scope["state"]["request_id"], error)
        return api_error(request, unavailable(error))

    def missing_path(request: AnyRequest, _: NotFoundException) -> Response[Any]:
        path = request.scope["raw_path"].decode("ascii", "replace")
        return api_error(request, PathMissingError(path))

    def wrong_method(request: AnyRequest, error: MethodNotAllowedException) -> Response[Any]:
        allowed = ", ".join(sorted((error.headers or {})["allow"].split(", ")))
        response = api_error(request, MethodError(request.method, allowed))
        response.headers["Allow"] = allowed
        return response

    def refused(request: AnyRequest, error: HTTPException) -> Response[Any]:
        refusal = ApiError(f"{error.detail.removesuffix('.')}.")
        refusal.code, refusal.status = "request_refused", HTTPStatus(error.status_code)
        return api_error(request, refusal)

    def unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
        _log.error(
            "request %s failed unexpectedly", request.scope["state"]["request_id"], exc_info=error
        )
        return api_error(request, UnexpectedError())

    return {
        ApiError: api_error,
        ProjectionError: projection_error,
        NotFoundException: missing_path,
        MethodNotAllowedException: wrong_method,
        HTTPException: refused,
        Exception: unexpected,
    }
