"""Errors of the HTTP face, each with its status.

ApiError
├── InvalidParameterError   400  a query parameter is not what it has to be
├── UnknownParameterError   400  there is no query parameter of this name (version 2)
├── InvalidBodyError        400  the body is not what it has to be
├── UnauthorizedError       401  who is calling can't be told
│   ├── TokenMalformedError          the Authorization header is missing or malformed
│   └── TokenInvalidError            the credentials are not, or no longer, good
├── ForbiddenError          403  the key may not do this
│   ├── ScopeMissingError            it lacks the scope
│   └── AddressForbiddenError        not from this address
├── ResourceMissingError    404  there is nothing of this id
├── PathMissingError        404  there is nothing at this path
├── MethodError             405  not with this method
├── ConflictError           409  what is asked for conflicts with how things are
├── BodyTimeoutError        408  the body did not arrive in time
├── BodyTooLargeError       413  the body has too many bytes
├── RateLimitedError        429  the key has made too many requests in this second
├── CommandSetAsideError    500  the engine could make nothing of the command
├── OutcomeUnknownError     503  the command was not seen to be decided in time
├── NotShownYetError        503  what `wait_for` names is not to be seen in time
├── TryLaterError           503  there is no answer now
│   ├── ReadsBehindError             what was last written is not to be seen in time
│   └── UnavailableError             the database is away, too slow, or not migrated
├── NotReadyError           503  the process should get no requests for now
├── ListenError             at the start: the address can't be listened on
├── ServerFailedError       the HTTP server has stopped without being asked to
└── UnexpectedError         500  a defect of ours
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar, Final, Self

_NAME_SHOWN_MAX: Final = 60
_RETRY_IS_SAFE: Final = "A retry with the same reference, or the same Idempotency-Key, is safe."


class ApiError(Exception):
    """Every error of the HTTP face; `code` is stable, the text is a sentence for the caller.

    `retry_after_s`: when to try again, where that may help.
    """

    code: str = "api_error"
    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after_s: ClassVar[int | None] = None


class InvalidParameterError(ApiError):
    """`name` must be `requirement`."""

    code = "parameter_invalid"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, name: str, requirement: str) -> None:
        super().__init__(f"{name} must be {requirement}.")


class UnknownParameterError(ApiError):
    """Nothing is read from a parameter of this name."""

    code = "parameter_unknown"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, name: str, known: Sequence[str]) -> None:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        super().__init__(f"{name[:_NAME_SHOWN_MAX]!r} is no parameter of this request: {takes}.")


class InvalidBodyError(ApiError):
    """The message names the field."""

    code = "invalid_request"
    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(ApiError):
    """Version 1 puts its sentence under `message`, and that of every other failure under `error`."""

    status = HTTPStatus.UNAUTHORIZED


class TokenMalformedError(UnauthorizedError):
    code = "token_malformed"

    def __init__(self) -> None:
        super().__init__("Invalid Token Format. Expected base64(clientId:clientSecret).")


class TokenInvalidError(UnauthorizedError):
    code = "token_invalid"

    def __init__(self) -> None:
        super().__init__("Invalid API Token or Token Expired")


class ForbiddenError(ApiError):
    status = HTTPStatus.FORBIDDEN


class ScopeMissingError(ForbiddenError):
    code = "scope_missing"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"Forbidden. This API key lacks the '{scope}' scope required to perform this action."
        )


class AddressForbiddenError(ForbiddenError):
    code = "address_forbidden"

    def __init__(self, address: str) -> None:
        super().__init__(f"Forbidden. This API key may not be used from {address}.")


class ConflictError(ApiError):
    """`code` says what it conflicts with: a rule's rejection code, or one of the API's own."""

    status = HTTPStatus.CONFLICT

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BodyTimeoutError(ApiError):
    code = "body_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT

    def __init__(self) -> None:
        super().__init__("The body did not arrive in time. Send the request again.")


class BodyTooLargeError(ApiError):
    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"The body must have at most {bytes_max} bytes.")


class RateLimitedError(ApiError):
    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS
    retry_after_s = 1

    def __init__(self, requests_per_second: int) -> None:
        super().__init__(
            "Rate limit exceeded. You are limited to"
            f" {requests_per_second} API requests per second."
        )


class CommandSetAsideError(ApiError):
    """A defect of ours, or data that the database refuses; the log has the reason."""

    code = "command_set_aside"

    def __init__(self) -> None:
        super().__init__(
            "A fault on our side kept this from being decided, and nothing has moved. It has been"
            " set aside and may be carried out later; a retry with the same reference, or the"
            " same Idempotency-Key, can't double it."
        )


class OutcomeUnknownError(ApiError):
    """Nobody knows yet whether the command was carried out; asking again can't double it."""

    code = "outcome_unknown"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__(f"The outcome is not known yet. {_RETRY_IS_SAFE}")


class ResourceMissingError(ApiError):
    """There is no resource of this kind and id, as far as the caller may know."""

    code = "resource_missing"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, kind: str, identity: str) -> None:
        super().__init__(f"The requested {kind} resource '{identity}' was not found.")


class PathMissingError(ApiError):
    code = "path_missing"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, path: str) -> None:
        super().__init__(f"The requested path '{path}' was not found.")


class MethodError(ApiError):
    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"The method {method} is not allowed here. Allowed are: {allowed}.")


class UnexpectedError(ApiError):
    """A defect; the log has what happened, under the request's id."""

    code = "unexpected"

    def __init__(self) -> None:
        super().__init__("Something went wrong on our side. Try again in a few minutes.")


class TryLaterError(ApiError):
    """There is no answer now, whether or not anything was done."""

    def of_a_write(self) -> Self:
        """The error itself, as told to a caller who wonders whether anything was done."""
        self.args = (f"{self} {_RETRY_IS_SAFE}",)
        return self


class NotShownYetError(ApiError):
    """The deadline passed before the command was decided and shown."""

    code = "not_shown_yet"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 1

    def __init__(self, wait_for: str, deadline_ms: int) -> None:
        super().__init__(
            f"What wait_for={wait_for} names was not to be seen within {deadline_ms} ms."
            " Ask again with the same wait_for in a while."
        )


class ReadsBehindError(TryLaterError):
    """The deadline passed before the read models showed what had been written before."""

    code = "reads_behind"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_s = 1

    def __init__(self, deadline_ms: int) -> None:
        super().__init__(
            f"What was last written was not to be seen within {deadline_ms} ms. Try again in a"
            " while."
        )


class UnavailableError(TryLaterError):
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
