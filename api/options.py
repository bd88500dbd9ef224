"""OPTIONS: which methods each path takes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from litestar import HttpMethod, Response
from litestar.handlers import HTTPRouteHandler


def with_options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """The handlers, and before them one for OPTIONS at each of their paths.

    Litestar makes those by itself, but where several handlers share a path they tell only the
    methods of the first.
    """
    handlers = list(handlers)
    methods: dict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        for path in handler.paths:
            methods[path] |= {"OPTIONS", *handler.http_methods}
    return [*(_options(path, sorted(taken)) for path, taken in methods.items()), *handlers]


def _options(path: str, allowed: Sequence[str]) -> HTTPRouteHandler:
    async def options() -> Response[None]:
        return Response(
            None, status_code=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(allowed)}
        )

    return HTTPRouteHandler(
        path,
        http_method=HttpMethod.OPTIONS,
        status_code=HTTPStatus.NO_CONTENT,
        include_in_schema=False,
    )(options)
