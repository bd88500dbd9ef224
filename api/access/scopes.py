"""Scopes: what a key may be allowed to do."""

from typing import Final, Literal, get_args

Scope = Literal[
    "payments:write",
    "payments:read",
    "customers:write",
    "customers:read",
    "credits:write",
    "credits:read",
    "meters:write",
    "meters:read",
    "licenses:write",
    "licenses:read",
]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
