"""Rendering: what the pages of a checkout say, and how they look."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct

from api.topups.redirects import with_topup
from api.topups.rows import Checkout, StoredTopup
from schemas.resources import format_balance

_LOADER: Final = PackageLoader("api.topups", "templates")
_TEMPLATES: Final = Environment(
    loader=_LOADER,
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_STYLE: Final = _LOADER.get_source(_TEMPLATES, "style.css")[0]
_STYLE_DIGEST: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

_REFRESH_S: Final = 2

_FAILURES: Final = {
    "wallet_closed": "The wallet was closed before the payment was made.",
    "balance_overflow": "The wallet can't hold that much.",
}
_FAILURE: Final = "The wallet did not take the payment."


class Page(Struct, frozen=True):
    """A page, its status, and what its Content-Security-Policy is."""

    html: str
    status: HTTPStatus
    policy: str


def checkout_page(checkout: Checkout, now: datetime, path: str) -> Page:
    """The page at `path` for a checkout that has not led to the merchant."""
    topup = checkout.topup
    shown = {
        "amount": format_balance(topup.amount, topup.currency),
        "merchant": checkout.merchant_name,
        "back": topup.cancel_url and with_topup(topup.cancel_url, topup.topup_id),
    }
    if topup.status == "paying":
        return _page("processing.html", shown, refresh_s=_REFRESH_S)
    status = topup.shown_at(now)
    if status == "pending":
        to_press = {"path": path, "expires_at": topup.expires_at}
        return _page("pay.html", shown | to_press, destinations=_destinations(topup))
    if status == "failed":
        shown["reason"] = _FAILURES.get(topup.failure or "", _FAILURE)
    return _page(f"{status}.html", shown)


def missing_page() -> Page:
    """There is no such checkout."""
    return _page("missing.html", {}, HTTPStatus.NOT_FOUND)


def trouble_page(path: str, status: HTTPStatus) -> Page:
    """How the checkout at `path` is can't be told at the moment."""
    return _page("trouble.html", {"path": path}, status)


def _destinations(topup: StoredTopup) -> list[str]:
    urls = [topup.redirect_url, *([topup.cancel_url] if topup.cancel_url else [])]
    # by scheme: browsers ask for every redirect after a form, and a merchant's page may have its own
    return sorted({url.partition(":")[0].lower() + ":" for url in urls})


def _page(
    template: str,
    values: Mapping[str, object],
    status: HTTPStatus = HTTPStatus.OK,
    *,
    destinations: Sequence[str] = (),
    refresh_s: int | None = None,
) -> Page:
    html = _TEMPLATES.get_template(template).render(
        {"refresh_s": refresh_s, "style": _STYLE} | dict(values)
    )
    forms = " ".join(["'self'", *destinations]) if destinations else "'none'"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; img-src data:;"
        f" form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )
    return Page(html, status, policy)
