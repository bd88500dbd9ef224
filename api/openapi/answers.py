"""Answers: what an operation is answered with, when all goes well and when it is refused."""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from api.calls import Operation
from api.openapi.components import Components
from api.openapi.examples import answer_example
from api.openapi.failures import FAILURES, Failure, failures_of
from api.versions import Version

HEADERS: Final[dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's id, which its line in the log has too.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"},
        "example": "req_5f0c1ab2c3d4e5f60718293a",
    },
    "Retry-After": {
        "description": "After how many seconds to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to say who is calling.",
        "required": True,
        "schema": {"type": "string"},
        "example": 'Basic realm="wallet", charset="UTF-8"',
    },
}


def responses(
    version: Version, operation: Operation, components: Components
) -> dict[str, dict[str, Any]]:
    """The operation's answers by their status."""
    media = {
        "schema": components.answer(operation),
        "example": answer_example(version, operation),
    }
    answers: dict[str, dict[str, Any]] = {
        str(operation.status.value): {
            "description": "All went well.",
            "headers": _headers(),
            "content": {"application/json": media},
        }
    }
    for status in failures_of(operation):
        name = FAILURES[status].name
        answers[str(status.value)] = {"$ref": f"#/components/responses/{name}"}
    return answers


def failure_responses(version: Version, components: Components) -> dict[str, dict[str, Any]]:
    """What every refusal looks like, by its name."""
    return {
        failure.name: _failure_response(version, status, failure, components)
        for status, failure in FAILURES.items()
    }


def _failure_response(
    version: Version, status: HTTPStatus, failure: Failure, components: Components
) -> dict[str, Any]:
    samples = {
        error.code: {"value": msgspec.to_builtins(version.present_failure(error))}
        for error in failure.samples
    }
    media = {"schema": components.failure(status), "examples": samples}
    return {
        "description": failure.meaning,
        "headers": _headers(*failure.headers),
        "content": {"application/json": media},
    }


def _headers(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}
