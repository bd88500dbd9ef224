"""Versions of the API: the same operations, presented in one way or another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from api.calls import Call, Operation
from api.errors import ApiError


@dataclass(frozen=True)
class Version:
    """One version.

    `present` gives what stands for a result in JSON, `present_failure` what stands for an error;
    `strict` refuses parameters and fields that nobody knows.
    """

    name: str
    strict: bool
    present: Callable[[Operation, Call, Any], Any]
    present_failure: Callable[[ApiError], Any]


def version_of(path: str, versions: Mapping[str, Version]) -> Version:
    """The version that a path belongs to: v1's for what belongs to none."""
    name = path.lstrip("/").partition("/")[0]
    return versions.get(name, versions["v1"])
