"""Errors of the HTTP face, each with its status.

ApiError
├── InvalidParameterError   400  a query parameter is not what it has to be
├── ResourceMissingError    404  there is nothing of this id
├── NotShownYetError        503  what `wait_for` names is not to be seen in time
├── UnavailableError        503  the database is away, too slow, or not migrated
├── NotReadyError           503  the process should get no requests for now
├── ListenError             at the start: the address can't be listened on
└── ServerFailedError       the HTTP server has stopped without being asked to
"""

from http import HTTPStatus
from typing import ClassVar


class ApiError(Exception):
    """Every error of the HTTP face; `code` is stable, the text is a sentence for the caller.

    `retry_after_s`: when to try again, where that may help.
    """

    code: ClassVar[str] = "api_error"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after_s: ClassVar[int | None] = None


class InvalidParameterError(ApiError):
    """`name` must be `requirement`."""

    code = "parameter_invalid"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, name: str, requirement: str) -> None:
        super().__init__(f"{name} must be {requirement}.")


class ResourceMissingError(ApiError):
    """There is no resource of this kind and id, as far as the caller may know."""

    code = "resource_missing"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"The requested {kind} resource '{identity}' was not found.")


class NotShownYetError(ApiError):
    """The deadline passed before the command was decided and shown."""

    code = "not_shown_yet"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 1

    def __init__(self, wait_for: str, deadline_ms: int) -> None:
        super().__init__(
            f"What wait_for={wait_for} names was not to be seen within {deadline_ms} ms. "
            "Ask again with the same wait_for, or without it for what is known now."
        )


class UnavailableError(ApiError):
    """The answer can't be had now; the same request may succeed later."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 5


class NotReadyError(ApiError):
    """The process is up, but its answers would be missing or old."""

    code = "not_ready"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 5


class ListenError(ApiError):
    """The process can't listen on the address it was told."""

    code = "listen_failed"


class ServerFailedError(ApiError):
    """The HTTP server has stopped without being asked to."""

    code = "server_failed"
