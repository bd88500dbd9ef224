"""The document: every operation of one version, from the tables and structs that serve it."""

from collections.abc import Iterable
from importlib.metadata import version as version_of_package
from typing import Any, Final

from api.calls import Operation
from api.openapi.answers import HEADERS, failure_responses, responses
from api.openapi.components import Components
from api.openapi.examples import body_example
from api.openapi.failures import FAILURES
from api.openapi.parameters import IDEMPOTENCY_KEY, parameters
from api.versions import Version

DIALECT: Final = "3.1.0"

_ABOUT = """\
Prepaid credit wallets: customers, their wallets, top-ups, and every movement of money.

Amounts are integers in the smallest unit of the currency (500 is GHS 5.00), times RFC 3339 in UTC.
Every operation needs a key with the scope that it names; `-u CLIENT_ID:CLIENT_SECRET` with curl.
A write says in its `reference`, or in the header `Idempotency-Key`, which request it is: the same
one again changes nothing more and has the same answer. All that can go wrong stands by its code in
the [list of errors](/docs/errors).
"""

_ABOUT_VERSION: Final = {
    "v1": (
        "Lists have `data` and `has_more`; the id of the last item goes into `after`. A failure is"
        " one sentence. Unknown parameters and fields are passed over."
    ),
    "v2": (
        "Lists have `data` and a cursor to either side, which goes into `cursor`. A failure has a"
        " code to act on. Unknown parameters and fields are refused."
    ),
}

_SECURITY: Final = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The client id as the user, the client secret as the password.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "base64(client_id:client_secret)",
        "description": "The same two with a colon between them, in Base64.",
    },
}

_TAGS: Final = {
    "customers": "Whom wallets belong to.",
    "wallets": "Prepaid balances and what moves them.",
}


def document(version: Version, operations: Iterable[Operation]) -> dict[str, Any]:
    """The OpenAPI document of the version; the same on every call."""
    operations = tuple(operations)
    components = Components(version, operations, FAILURES)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _operation(version, operation, components)
    return {
        "openapi": DIALECT,
        "info": {
            "title": f"Wallets, {version.name}",
            "version": version_of_package("wallet-engine"),
            "description": f"{_ABOUT}\n{_ABOUT_VERSION[version.name]}\n",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"/{version.name}", "description": "Where this document is served"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components.schemas,
            "responses": failure_responses(version, components),
            "parameters": {"IdempotencyKey": IDEMPOTENCY_KEY},
            "headers": HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _operation(version: Version, operation: Operation, components: Components) -> dict[str, Any]:
    described = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "tags": [operation.path.split("/")[1]],
        # the names of roles, which 3.1 lets stand beside schemes other than OAuth's
        "security": [{scheme: [operation.scope]} for scheme in _SECURITY],
        "parameters": parameters(version, operation),
        "responses": responses(version, operation, components),
    }
    body = components.body(operation)
    if body is not None:
        media = {"schema": body, "example": body_example(operation)}
        described["requestBody"] = {"required": True, "content": {"application/json": media}}
    return described
