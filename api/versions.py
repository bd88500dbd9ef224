"""Versions of the API: the same operations, presented in one way or another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from api.calls import Call, Operation
from api.errors import ApiError
from api.fields import fields_of


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version.

    `strict` refuses parameters and fields that nobody knows, and those `hidden` are unknown.
    `present` gives what stands for a result in JSON, `present_failure` what stands for an error;
    `answer_type` and `failure_type` say of which types these are.
    """

    name: str
    strict: bool
    hidden: frozenset[str]
    present: Callable[[Operation, Call, Any], Any]
    present_failure: Callable[[ApiError], Struct]
    answer_type: Callable[[Operation], Any]
    failure_type: Callable[[HTTPStatus], type[Struct]]


def shown_as(kind: type[Struct], resource: Any) -> Any:
    """The resource with the fields of `kind` alone."""
    if type(resource) is kind:
        return resource
    names = (field.name for field in fields_of(kind))
    return kind(**{name: getattr(resource, name) for name in names})


def version_of(path: str, versions: Mapping[str, Version]) -> Version:
    """The version that a path belongs to: v1's for what belongs to none."""
    name = path.lstrip("/").partition("/")[0]
    return versions.get(name, versions["v1"])
