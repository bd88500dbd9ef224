"""What the pages of a checkout say, without a browser or a database."""

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import get_args

import pytest
from msgspec.structs import replace

from api.topups.rendering import checkout_page, missing_page, trouble_page
from api.topups.rows import Checkout, StoredTopup
from schemas.rejections import RejectionCode

NOW = datetime(2026, 5, 24, 10, tzinfo=UTC)
TOPUP = StoredTopup(
    topup_id="top_1",
    merchant_id="mch_1",
    environment="sandbox",
    wallet_id="wal_1",
    amount=123_450,
    currency="GHS",
    token="a-token",
    redirect_url="https://shop.example/paid",
    cancel_url="https://shop.example/basket",
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=30),
)


def _page(merchant_name="Ama & Söhne <b>", **changes):
    checkout = Checkout(replace(TOPUP, **changes), merchant_name)
    return checkout_page(checkout, NOW, "/checkout/a-token")


STATES = {
    "pending": {},
    "paying": {"status": "paying"},
    "expired": {"expires_at": NOW},
    "swept": {"status": "expired"},
    "cancelled": {"status": "cancelled"},
    "failed": {"status": "failed", "failure": "wallet_closed"},
}
PAGES = {name: _page(**changes) for name, changes in STATES.items()} | {
    "missing": missing_page(),
    "trouble": trouble_page("/checkout/a-token", HTTPStatus.SERVICE_UNAVAILABLE),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_page_loads_nothing_and_runs_nothing(page) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page.html, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in page.policy
    assert page.policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in page.policy
    assert not re.search(r"<script|\ssrc=|url\(|@import|\sstyle=|<[^>]+\son\w+=", page.html)
    assert '<html lang="en">' in page.html
    assert re.search("<title>[^<]+</title>", page.html)
    assert len(re.findall("<h1>", page.html)) == 1


def test_the_amount_and_the_merchant_are_told() -> None:
    assert "GH₵1,234.50" in PAGES["pending"].html
    assert "Ama &amp; Söhne &lt;b&gt;" in PAGES["pending"].html
    assert "<b>" not in PAGES["pending"].html


def test_only_what_is_pending_can_be_pressed() -> None:
    assert {name for name, page in PAGES.items() if "<button" in page.html} == {"pending"}


def test_only_what_is_being_processed_looks_again() -> None:
    again = {name for name, page in PAGES.items() if 'http-equiv="refresh"' in page.html}
    assert again == {"paying"}


def test_forms_may_lead_to_where_the_merchant_wants() -> None:
    assert "form-action 'self' https:;" in _page().policy
    local = _page(redirect_url="HTTP://localhost:3000/", cancel_url=None)
    assert "form-action 'self' http:;" in local.policy
    both = _page(redirect_url="http://localhost:3000/")
    assert "form-action 'self' http: https:;" in both.policy
    assert "form-action 'none';" in PAGES["cancelled"].policy


@pytest.mark.parametrize("code", get_args(RejectionCode))
def test_every_failure_has_a_reason(code) -> None:
    html = _page(status="failed", failure=code).html
    assert re.search(r"<p>The wallet [^<]+\. GH₵1,234.50 was not paid", html), html


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_the_way_back_is_there_if_the_merchant_gave_one(status) -> None:
    failure = "wallet_closed" if status == "failed" else None
    page = _page(status=status, failure=failure)
    assert 'href="https://shop.example/basket?topup_id=top_1"' in page.html
    assert 'href="https' not in _page(status=status, failure=failure, cancel_url=None).html
