"""JSON Schemas (2020-12) of the contract, made from the structs."""

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any, Final

import msgspec

from schemas.commands import PAYLOAD_BYTES_MAX, AnyCommand
from schemas.dead_letters import DeadLetter
from schemas.entries import Entry
from schemas.instants import Instant

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_BEYOND_A_SCHEMA: Final = (
    f"What no schema can say, and the engine refuses as well: more than {PAYLOAD_BYTES_MAX} bytes, a"
    " currency that is not in ISO 4217 or has no minor unit, an integer that is written with a"
    " fraction or an exponent (500.0), an integer in the metadata beyond 64 bits, a lone surrogate."
    " Where a key stands twice in an object, the last one counts."
)

_INSTANT = {
    "type": "string",
    "format": "date-time",
    "pattern": (
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
        "([Zz]|[+-][0-9]{2}:[0-9]{2})$(?!\n)"
    ),
    "description": "RFC 3339 with a zone and at most six fractional digits, year 1 to 9999 in UTC.",
    "examples": ["2026-12-31T23:59:59Z"],
}


def _schema_hook(wanted: type) -> dict[str, Any]:
    if wanted is Instant:
        return _INSTANT
    raise NotImplementedError(f"{wanted.__name__} has no place in a contract")


def _tidy(node: Any, name: str = "") -> Any:
    """Docstrings without their indent, and the format of times, which msgspec leaves out."""
    if isinstance(node, list):
        return [_tidy(item, name) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidy(item, name if key == "anyOf" else key) for key, item in node.items()}
    if isinstance(tidied.get("description"), str):
        tidied["description"] = cleandoc(tidied["description"])
    if tidied == {"type": "string"} and name.endswith("_at"):
        tidied["format"] = "date-time"
    return tidied


def _document(name: str, title: str, described: str, wanted: Any) -> dict[str, Any]:
    head = {
        "$schema": DIALECT,
        "$id": f"urn:wallet-engine:contract:{name}",
        "title": title,
        "description": described,
    }
    return {**head, **_tidy(msgspec.json.schema(wanted, schema_hook=_schema_hook))}


def command_schema() -> dict[str, Any]:
    """One of the commands; each stands by its name under `$defs`."""
    described = f"The value of a record on `wallet.commands`. {_BEYOND_A_SCHEMA}"
    return _document("command", "Command", described, AnyCommand)


def entry_schema() -> dict[str, Any]:
    """A log entry; each event stands by its name under `$defs`."""
    return _document(
        "entry",
        "Entry of the log",
        "The value of a record on `wallet.events`. A reader ignores fields it does not know.",
        Entry,
    )


def dead_letter_schema() -> dict[str, Any]:
    """A dead letter as it is published."""
    return _document(
        "dead-letter",
        "Dead letter",
        "The value of a record on `wallet.dead-letters`.",
        DeadLetter,
    )


def component_schemas(
    types: Iterable[Any], ref_template: str
) -> tuple[dict[Any, dict[str, Any]], dict[str, dict[str, Any]]]:
    """What stands for each of the types, and the structs that this refers to by their names.

    `ref_template` is where those stand, with `{name}` for the name.
    """
    types = tuple(types)
    references, components = msgspec.json.schema_components(
        types, schema_hook=_schema_hook, ref_template=ref_template
    )
    tidied = {name: _tidy(schema) for name, schema in components.items()}
    return dict(zip(types, references, strict=True)), tidied
