"""Pages: the sandbox's checkout, as a browser gets it.

The token in the address is all that a customer has, and all that is needed. Pay and Cancel answer
with a redirect in any case: to the merchant when that is where it ends, else to the page, which
says how things are. So nothing is pressed again by loading a page again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import HttpMethod, Response
from litestar.handlers import HTTPRouteHandler

from api.errors import ApiError
from api.parameters import AnyRequest
from api.services import Services
from api.topups.paying import pay
from api.topups.redirects import with_topup
from api.topups.rendering import Page, checkout_page, missing_page, unavailable_page
from api.topups.rows import Checkout, TopupRows
from projections.errors import ProjectionError

_SECURITY: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


class CheckoutPages:
    """Answers customers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rows = TopupRows(services.rows)
        self._root = urlsplit(services.public_url).path

    def routes(self) -> list[HTTPRouteHandler]:
        return [
            _route("GET", "/checkout/{token:str}", self._show),
            _route("POST", "/checkout/{token:str}/pay", self._pay),
            _route("POST", "/checkout/{token:str}/cancel", self._cancel),
        ]

    async def _show(self, token: str) -> Response[str]:
        checkout = await self._rows.checkout(token)
        if checkout is None:
            return _html(missing_page())
        topup = checkout.topup
        if topup.status == "succeeded":
            return _see_other(with_topup(topup.redirect_url, topup.topup_id))
        return _html(checkout_page(checkout, self._services.clock(), self._path(token)))

    async def _pay(self, token: str) -> Response[str]:
        deadline = asyncio.get_running_loop().time() + (
            self._services.settings.api_deadline_ms / 1000
        )
        await pay(self._services, token, deadline)
        return self._end(token, await self._rows.checkout(token))

    async def _cancel(self, token: str) -> Response[str]:
        await self._rows.cancel(token, self._services.clock())
        checkout = await self._rows.checkout(token)
        if checkout is not None and checkout.topup.status == "cancelled":
            topup = checkout.topup
            if topup.cancel_url is not None:
                return _see_other(with_topup(topup.cancel_url, topup.topup_id))
        return self._end(token, checkout)

    def _end(self, token: str, checkout: Checkout | None) -> Response[str]:
        if checkout is None:
            return _html(missing_page())
        topup = checkout.topup
        if topup.status == "succeeded":
            return _see_other(with_topup(topup.redirect_url, topup.topup_id))
        return _see_other(self._path(token))

    def _path(self, token: str) -> str:
        # without the host, which may have more names than the one that we know
        return f"{self._root}/checkout/{token}"


def _route(
    method: str, path: str, answer: Callable[[str], Awaitable[Response[str]]]
) -> HTTPRouteHandler:
    async def endpoint(request: AnyRequest) -> Response[str]:
        return await answer(request.path_params["token"])

    return HTTPRouteHandler(
        path,
        http_method=HttpMethod(method),
        include_in_schema=False,
        exception_handlers={
            ApiError: _unavailable,
            ProjectionError: _unavailable,
            Exception: _unexpected,
        },
    )(endpoint)


def _unavailable(request: AnyRequest, error: Exception) -> Response[Any]:
    _log.error("request %s: %s", request.scope["state"]["request_id"], error)
    return _html(unavailable_page())


def _unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    _log.error(
        "request %s failed unexpectedly", request.scope["state"]["request_id"], exc_info=error
    )
    return _html(unavailable_page(HTTPStatus.INTERNAL_SERVER_ERROR))


def _html(page: Page) -> Response[str]:
    return Response(
        page.html,
        status_code=page.status,
        media_type="text/html; charset=utf-8",
        headers={**_SECURITY, "Content-Security-Policy": page.policy},
    )


def _see_other(url: str) -> Response[str]:
    return Response(
        "",
        status_code=HTTPStatus.SEE_OTHER,
        media_type="text/html; charset=utf-8",
        headers={**_SECURITY, "Location": url},
    )
