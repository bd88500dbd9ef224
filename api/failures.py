"""Failures: how whatever was raised becomes an answer."""

import logging
from http import HTTPStatus
from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.types import ExceptionHandlersMap

from api.dispatch import failure, to_response
from api.errors import ApiError, MethodError, PathMissingError, UnavailableError, UnexpectedError
from api.parameters import AnyRequest
from api.v1 import V1
from api.v2 import V2
from api.versions import Version, version_of
from projections.errors import NotInstalledError, ProjectionError

VERSIONS = {version.name: version for version in (V1, V2)}

_log = logging.getLogger(__name__)


def _version(request: AnyRequest) -> Version:
    return version_of(request.scope["path"], VERSIONS)


def _api_error(request: AnyRequest, error: ApiError) -> Response[Any]:
    return to_response(failure(_version(request), error))


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
    return _api_error(request, PathMissingError(path))


def _wrong_method(request: AnyRequest, error: MethodNotAllowedException) -> Response[Any]:
    allowed = ", ".join(sorted((error.headers or {})["allow"].split(", ")))
    response = _api_error(request, MethodError(request.method, allowed))
    response.headers["Allow"] = allowed
    return response


def _refused(request: AnyRequest, error: HTTPException) -> Response[Any]:
    refusal = ApiError(f"{error.detail.removesuffix('.')}.")
    refusal.code, refusal.status = "request_refused", HTTPStatus(error.status_code)
    return _api_error(request, refusal)


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    _log.error(
        "request %s failed unexpectedly", request.scope["state"]["request_id"], exc_info=error
    )
    return _api_error(request, UnexpectedError())


HANDLERS: ExceptionHandlersMap = {
    ApiError: _api_error,
    ProjectionError: _projection_error,
    NotFoundException: _missing_path,
    MethodNotAllowedException: _wrong_method,
    HTTPException: _refused,
    Exception: _unexpected,
}
