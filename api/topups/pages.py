"""Pages: the sandbox's checkout, as a browser gets it.

The token in the address is all that a customer has, and all that is needed. Pay and Cancel answer
with a redirect in any case: to the merchant when that is where it ends, else to the page, which
says how things are. So nothing is pressed again by loading a page again.
"""

import logging
import re
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import HttpMethod, MediaType, Response
from litestar.handlers import HTTPRouteHandler

from api.deadlines import Deadline, in_time
from api.errors import ApiError, OutcomeUnknownError
from api.parameters import AnyRequest
from api.services import Services
from api.topups.paying import pay
from api.topups.redirects import with_topup
from api.topups.rendering import Page, checkout_page, missing_page, trouble_page
from api.topups.rows import Checkout, TopupRows
from projections.errors import ProjectionError

_SECURITY: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_TOKEN: Final = re.compile("[A-Za-z0-9_-]{1,100}")

_log = logging.getLogger(__name__)


class CheckoutPages:
    """Answers customers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rows = TopupRows(services.rows)
        self._root = urlsplit(services.public_url).path

    def routes(self) -> list[HTTPRouteHandler]:
        return [
            self._route("GET", ["/checkout/{token:str}"], self._show),
            self._route("POST", ["/checkout/{token:str}/pay"], self._pay),
            self._route("POST", ["/checkout/{token:str}/cancel"], self._cancel),
            # where a customer is who loads the page again that told of trouble
            self._route(
                "GET", ["/checkout/{token:str}/pay", "/checkout/{token:str}/cancel"], self._back
            ),
        ]

    def _route(
        self,
        method: str,
        paths: list[str],
        answer: Callable[[str, float], Coroutine[Any, Any, Response[str]]],
    ) -> HTTPRouteHandler:
        async def endpoint(request: AnyRequest) -> Response[str]:
            token: str = request.path_params["token"]
            if _TOKEN.fullmatch(token) is None:
                return _html(missing_page())
            deadline = Deadline.of(self._services.settings)
            return await in_time(answer(token, deadline.work), deadline.answer)

        return HTTPRouteHandler(
            paths,
            http_method=HttpMethod(method),
            include_in_schema=False,
            exception_handlers={
                ApiError: self._away,
                ProjectionError: self._away,
                Exception: self._unexpected,
            },
        )(endpoint)

    async def _show(self, token: str, _: float) -> Response[str]:
        checkout = await self._rows.checkout(token)
        if checkout is None:
            return _html(missing_page())
        topup = checkout.topup
        if topup.status == "succeeded":
            return _see_other(with_topup(topup.redirect_url, topup.topup_id))
        return _html(checkout_page(checkout, self._services.clock(), self._path(token)))

    async def _pay(self, token: str, deadline: float) -> Response[str]:
        try:
            # to its end, though the tab be closed
            paying = pay(self._services, token, deadline)
            ended = await self._services.errands.run(paying, deadline)
        except OutcomeUnknownError:
            ended = False
        if not ended:
            # there may be no time left for looking how it is
            return _see_other(self._path(token))
        return self._end(token, await self._rows.checkout(token))

    async def _cancel(self, token: str, _: float) -> Response[str]:
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

    async def _back(self, token: str, _: float) -> Response[str]:
        return _see_other(self._path(token))

    def _path(self, token: str) -> str:
        # without the host, which may have more names than the one that we know
        return f"{self._root}/checkout/{token}"

    def _away(self, request: AnyRequest, error: Exception) -> Response[Any]:
        _log.error("request %s: %s", request.scope["state"]["request_id"], error)
        return self._trouble(request, HTTPStatus.SERVICE_UNAVAILABLE)

    def _unexpected(self, request: AnyRequest, error: Exception) -> Response[Any]:
        _log.error(
            "request %s failed unexpectedly", request.scope["state"]["request_id"], exc_info=error
        )
        return self._trouble(request, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _trouble(self, request: AnyRequest, status: HTTPStatus) -> Response[Any]:
        return _html(trouble_page(self._path(request.path_params["token"]), status))


def _html(page: Page) -> Response[str]:
    return Response(
        page.html,
        status_code=page.status,
        media_type=MediaType.HTML,
        headers={**_SECURITY, "Content-Security-Policy": page.policy},
    )


def _see_other(url: str) -> Response[str]:
    return Response(
        "",
        status_code=HTTPStatus.SEE_OTHER,
        media_type=MediaType.HTML,
        headers={**_SECURITY, "Location": url},
    )
