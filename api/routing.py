"""Routing: the short way from a path to its operation.

The framework takes about as long to find a handler and to call it as everything that the handler
does before it waits. So what is asked for in the usual way is looked up here; the rest goes to the
framework, which has the same operations: other spellings of a path, other methods, other pages.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.:\[\]_-]*")


class Route(NamedTuple):
    """What answers requests of this method to this path, whose parameters stand in braces."""

    method: str
    path: str
    app: ASGIApp


class Router:
    """Leads requests to their routes, and to `otherwise` where it knows none."""

    def __init__(self, routes: Iterable[Route], otherwise: ASGIApp) -> None:
        self.otherwise = otherwise
        self._routes: dict[tuple[str, ...], Route] = {}
        self._parameters: defaultdict[int, dict[tuple[int, ...], None]] = defaultdict(dict)
        for route in routes:
            parts = route.path.split("/")
            places = tuple(place for place, part in enumerate(parts) if part.startswith("{"))
            self._parameters[len(parts)][places] = None
            self._routes[_key(route.method, parts, places)] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.otherwise
        if scope["type"] == ScopeType.HTTP:
            app = self._find(scope) or self.otherwise
        await app(scope, receive, send)

    def _find(self, scope: HTTPScope) -> ASGIApp | None:
        parts = scope["path"].split("/")
        for places in self._parameters.get(len(parts), ()):
            route = self._routes.get(_key(scope["method"], parts, places))
            if route is not None and all(parts[place] for place in places):
                if not _is_plain(scope):
                    return None
                names = route.path.split("/")
                scope["path_params"] = {names[place][1:-1]: parts[place] for place in places}
                scope["path_template"] = route.path
                return route.app
        return None


def _key(method: str, parts: list[str], places: tuple[int, ...]) -> tuple[str, ...]:
    known = list(parts)
    for place in places:
        known[place] = "{}"
    return (method, *known)


def _is_plain(scope: HTTPScope) -> bool:
    """Whether the framework would have nothing to say about the host."""
    for name, value in scope["headers"]:
        if name == b"host" and _PLAIN_HOST.fullmatch(value) is None:
            return False
    return True
