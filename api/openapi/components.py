"""Components: the shapes of what goes in and comes out, by their names."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from api.calls import NoBody, Operation
from api.versions import Version
from schemas.commands import Metadata
from schemas.json_schemas import component_schemas
from schemas.money import MINOR_UNIT_DIGITS

Schema = dict[str, Any]

_CURRENCY: Final[Schema] = {
    "type": "string",
    "enum": sorted(MINOR_UNIT_DIGITS),
    "description": "An ISO 4217 code with a minor unit.",
}

_REFERENCE: Final = "#/components/schemas/{name}"
_NULL: Final[Schema] = {"type": "null"}
_NO_NUL: Final[Schema] = {"not": {"pattern": "\\u0000"}}
_ALWAYS_THE_SAME: Final = ("success", "deleted")


def reference(name: str) -> Schema:
    """What stands for the schema of this name."""
    return {"$ref": _REFERENCE.format(name=name)}


class Components:
    """The schemas that a version's operations refer to."""

    def __init__(
        self, version: Version, operations: Sequence[Operation], refusals: Iterable[HTTPStatus]
    ) -> None:
        self._version = version
        bodies = {each.body: None for each in operations if each.body is not NoBody}
        answers = {version.answer_type(each): None for each in operations}
        self._taken, taken = component_schemas(bodies, _REFERENCE)
        failures = {version.failure_type(status): None for status in refusals}
        self._given, given = component_schemas({**answers, **failures}, _REFERENCE)
        if clashing := taken.keys() & given.keys():
            raise TypeError(f"{sorted(clashing)} both go in and come out")
        kept = {each.__name__: getattr(each, "never_cleared", ()) for each in bodies}
        for name, schema in taken.items():
            _as_body(schema, strict=version.strict, never_null=kept.get(name, ()))
        for schema in given.values():
            _as_answer(schema)
        self.schemas = _listed({"Currency": _CURRENCY, "Metadata": _METADATA, **taken, **given})

    def body(self, operation: Operation) -> Schema | None:
        """The schema of the body, if the operation takes one."""
        return self._taken.get(operation.body)

    def answer(self, operation: Operation) -> Schema:
        """The schema of what is answered when all went well."""
        schema: Schema = _listed(self._given[self._version.answer_type(operation)])
        return schema

    def failure(self, status: HTTPStatus) -> Schema:
        """The schema of what is answered with this status."""
        return self._given[self._version.failure_type(status)]


def _as_body(schema: Schema, *, strict: bool, never_null: Sequence[str]) -> None:
    if "properties" not in schema:
        return
    if strict:
        schema["additionalProperties"] = False
    properties = schema["properties"]
    for name, wanted in properties.items():
        chosen = _SHARED.get(name) or _without_nul(wanted)
        if name in never_null:
            properties[name] = _not_null(chosen)
        else:
            properties[name] = chosen if name in schema["required"] else _or_null(chosen)


def _without_nul(node: Any) -> Any:
    """No text may have U+0000 in it."""
    if isinstance(node, list):
        return [_without_nul(item) for item in node]
    if not isinstance(node, dict):
        return node
    told = {key: _without_nul(value) for key, value in node.items()}
    bounded = told.keys() & {"pattern", "not", "enum"}
    return told if told.get("type") != "string" or bounded else {**told, **_NO_NUL}


def _or_null(schema: Schema) -> Schema:
    """What may be absent may be null as well."""
    if _NULL in schema.get("anyOf", ()):
        return schema
    told = {key: schema[key] for key in ("default",) if key in schema}
    return {**told, "anyOf": [{key: schema[key] for key in schema if key not in told}, _NULL]}


def _not_null(schema: Schema) -> Schema:
    alternatives = [each for each in schema.get("anyOf", ()) if each != _NULL]
    return alternatives[0] if len(alternatives) == 1 else schema


def _as_answer(schema: Schema) -> None:
    """What has a default is sent all the same."""
    properties = schema.get("properties", {})
    sent = [name for name in properties if "default" in properties[name]]
    for name in sent:
        value = properties[name].pop("default")
        if name in _ALWAYS_THE_SAME:
            properties[name]["const"] = value
    if "metadata" in properties:
        properties["metadata"] = _SHARED["metadata"]
    if properties:
        required = {*schema.get("required", ()), *sent}
        schema["required"] = [name for name in properties if name in required]


_SHARED: Final = {"currency": reference("Currency"), "metadata": reference("Metadata")}
_METADATA: Final = {
    **_without_nul(component_schemas([Metadata], _REFERENCE)[0][Metadata]),
    "description": "What else is to be kept with it.",
}


def _listed(node: Any) -> Any:
    """`SomeList_Wallet_`, as generic structs come out, as `WalletList`."""
    if isinstance(node, list):
        return [_listed(item) for item in node]
    if isinstance(node, dict):
        return {_list_name(key): _listed(value) for key, value in node.items()}
    return _list_name(node) if isinstance(node, str) else node


def _list_name(text: str) -> str:
    return re.sub(r"^(.*/)?[A-Za-z]+_([A-Za-z]+)_$|^[A-Za-z]+\[([A-Za-z]+)\]$", _renamed, text)


def _renamed(match: re.Match[str]) -> str:
    return f"{match[1] or ''}{match[2] or match[3]}List"
