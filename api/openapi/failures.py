"""Failures: with which statuses an operation may be refused, and how that looks."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from api.bodies import BODY_BYTES_MAX
from api.calls import Operation
from api.errors import (
    AddressForbiddenError,
    ApiError,
    BodyTimeoutError,
    BodyTooLargeError,
    ConflictError,
    InvalidBodyError,
    InvalidParameterError,
    OutcomeUnknownError,
    RateLimitedError,
    ResourceMissingError,
    ScopeMissingError,
    TokenInvalidError,
    TokenMalformedError,
    UnexpectedError,
)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One status. `name` is what its response is called; `samples` are errors that have it."""

    name: str
    meaning: str
    samples: tuple[ApiError, ...]
    headers: tuple[str, ...] = ()


FAILURES: Final[dict[HTTPStatus, Failure]] = {
    HTTPStatus.BAD_REQUEST: Failure(
        name="BadRequest",
        meaning="A parameter or a field of the body is not what it has to be.",
        samples=(
            InvalidBodyError("amount must be a positive integer."),
            InvalidParameterError("limit", "an integer from 1 to 100"),
        ),
    ),
    HTTPStatus.UNAUTHORIZED: Failure(
        name="Unauthorized",
        meaning="The credentials are missing, malformed, wrong, revoked or expired.",
        samples=(TokenMalformedError(), TokenInvalidError()),
        headers=("WWW-Authenticate",),
    ),
    HTTPStatus.FORBIDDEN: Failure(
        name="Forbidden",
        meaning="The key lacks the scope, or may not be used from this address.",
        samples=(ScopeMissingError("credits:write"), AddressForbiddenError("203.0.113.7")),
    ),
    HTTPStatus.NOT_FOUND: Failure(
        name="NotFound",
        meaning="There is nothing with this id, or it belongs to somebody else.",
        samples=(ResourceMissingError("wallet", "wal_a1b2c3"),),
    ),
    HTTPStatus.CONFLICT: Failure(
        name="Conflict",
        meaning="A rule refuses it as things stand, or the reference or key stands for another"
        " request.",
        samples=(
            ConflictError("reference_conflict", "The reference stands for another command."),
        ),
    ),
    HTTPStatus.REQUEST_TIMEOUT: Failure(
        name="BodyTimeout",
        meaning="The body did not arrive in time.",
        samples=(BodyTimeoutError(),),
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Failure(
        name="BodyTooLarge",
        meaning=f"The body has more than {BODY_BYTES_MAX} bytes.",
        samples=(BodyTooLargeError(BODY_BYTES_MAX),),
    ),
    HTTPStatus.TOO_MANY_REQUESTS: Failure(
        name="RateLimited",
        meaning="The key has made all the requests that it may make in this second.",
        samples=(RateLimitedError(100),),
        headers=("Retry-After",),
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: Failure(
        name="Unexpected",
        meaning="A defect. The log has what happened, by the request's id.",
        samples=(UnexpectedError(),),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: Failure(
        name="Unavailable",
        meaning="The answer can't be had now. The same request may safely be sent again.",
        samples=(OutcomeUnknownError(),),
        headers=("Retry-After",),
    ),
}
"""Every status that an operation may be refused with."""

_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    # a body is read whether or not anything in it counts
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def failures_of(operation: Operation) -> list[HTTPStatus]:
    """Every status that the operation may be refused with, in their order."""
    statuses = {*_ALWAYS, *operation.refusals}
    if "{" in operation.path:
        statuses.add(HTTPStatus.NOT_FOUND)
    if operation.method == "POST":
        # an Idempotency-Key may stand for another request
        statuses.add(HTTPStatus.CONFLICT)
    return sorted(statuses)
