"""Which route a request was for, in as many words as there are routes."""

from typing import Final

from litestar.types import HTTPScope

UNKNOWN: Final = "unknown"


def route_of(scope: HTTPScope) -> str:
    """The path with the names of its parameters in their places; `unknown` if there is none."""
    return scope.get("path_template") or UNKNOWN
