"""How version 1 presents what handlers return or raise."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Response, Router
from litestar.types import ControllerRouterHandler

from projections.queries import Page
from schemas.resources import Failure, ResourceList


async def present(response: Response[Any]) -> Response[Any]:
    """A page of a list as `data` and `has_more`; anything else as it is."""
    if isinstance(response.content, Page):
        page = response.content
        response.content = ResourceList(page.items, page.has_more)
    return response


def present_failure(
    status: HTTPStatus, code: str, message: str, headers: Mapping[str, str]
) -> Response[Failure]:
    """The body that tells of a failure; version 1 has no place for its code."""
    del code
    return Response(Failure(error=message), status_code=status, headers=dict(headers))


def v1_routes(*handlers: ControllerRouterHandler) -> Router:
    """These handlers under `/v1`."""
    return Router("/v1", route_handlers=handlers, after_request=present)
