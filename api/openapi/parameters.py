"""Parameters: what stands in the path, after the question mark, and in headers."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from api.calls import Operation
from api.idempotency import KEY_CHARACTERS_MAX
from api.openapi.components import reference
from api.versions import Version
from schemas.ids import CustomerId, WalletId

_IN_PATH = re.compile(r"\{(\w+)\}")
_PATH_IDS: Final[dict[str, Any]] = {"wallet_id": WalletId, "customer_id": CustomerId}

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "Names this request. Sent again under the same key it changes nothing more, and has the"
        " same answer; another request under it is refused with 409. Kept for at least 24 hours."
    ),
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_CHARACTERS_MAX,
        "pattern": "^[!-~]+( +[!-~]+)*$(?!\n)",
    },
    "example": "order_4711",
}


def parameters(version: Version, operation: Operation) -> list[dict[str, Any]]:
    """Every parameter of the operation in this version."""
    return [
        *(_in_path(name) for name in _IN_PATH.findall(operation.path)),
        *_in_query(version, operation),
        *(
            [{"$ref": "#/components/parameters/IdempotencyKey"}]
            if operation.method == "POST"
            else []
        ),
    ]


def _in_path(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": msgspec.json.schema(_PATH_IDS[name]),
    }


def _in_query(version: Version, operation: Operation) -> Iterator[dict[str, Any]]:
    components = msgspec.json.schema_components([operation.query])[1]
    properties = components[operation.query.__name__].get("properties", {})
    for name, wanted in properties.items():
        if name in version.hidden:
            continue
        described = wanted.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "description": f"{described[:1].upper()}{described[1:]}.",
            "schema": reference("Currency") if name == "currency" else _given(wanted),
        }


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null, and without it as the default: a parameter that is absent is not there."""
    alternatives = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    without_null = {key: value for key, value in schema.items() if key != "anyOf"}
    if without_null.get("default", 0) is None:
        del without_null["default"]
    return {**without_null, **alternatives[0]} if len(alternatives) == 1 else schema
