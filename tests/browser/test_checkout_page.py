"""The checkout's page as a customer meets it, in a real browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from schemas.instants import utc_now
from tests.support.merchant_site import MerchantSite
from tests.support.query_api import StandingClock

PHONES = [{"width": 320, "height": 568}, {"width": 360, "height": 640}]
_ARRIVAL_MS_MAX = 30_000


@asynccontextmanager
async def visiting(browser: Browser, *expected: str, **options) -> AsyncIterator[Page]:
    """A tab in a profile of its own, whose console tells of what is expected and no more."""
    context = await browser.new_context(**options)
    try:
        page = await context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert complaints == list(expected)
    finally:
        await context.close()


async def _press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button).click()


async def _arrives(page: Page, url: str | re.Pattern[str]) -> None:
    # whatever way it takes: a navigation may be given up for the next one
    await expect(page).to_have_url(url, timeout=_ARRIVAL_MS_MAX)


def _paid(merchant: MerchantSite) -> re.Pattern[str]:
    return re.compile(re.escape(f"{merchant.url}/paid"))


async def _opened(checkouts, merchant, **changes):
    urls = {"redirect_url": f"{merchant.url}/paid?order=7#top"}
    return await checkouts.open(**urls | {"cancel_url": f"{merchant.url}/basket"} | changes)


async def test_pay_ends_at_the_merchant_and_tops_up_once(
    checkouts, merchant, browser, javascript
) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser, java_script_enabled=javascript) as page:
        await page.goto(topup["checkout_url"])
        assert await page.title() == "Pay GH₵50.00 to mch_1"
        await _press(page, "Pay GH₵50.00")
        await _arrives(page, f"{merchant.url}/paid?order=7&topup_id={topup['id']}#top")
    assert merchant.visits == [(f"/paid?order=7&topup_id={topup['id']}", None)]
    assert await checkouts.shown(topup) == "succeeded"
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_a_double_click_pays_once(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await page.get_by_role("button", name="Pay").dblclick()
        await _arrives(page, _paid(merchant))
    assert await checkouts.shown(topup) == "succeeded"
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_two_tabs_pay_once_and_end_at_the_same_place(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as first, visiting(browser) as second:
        for page in (first, second):
            await page.goto(topup["checkout_url"])
        for page in (first, second):
            await _press(page, "Pay")
            await _arrives(page, _paid(merchant))
        assert first.url == second.url
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_going_back_and_paying_again_pays_once(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await _press(page, "Pay")
        await _arrives(page, _paid(merchant))
        await page.goto(topup["checkout_url"])
        assert page.url.startswith(f"{merchant.url}/paid")
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_cancel_ends_at_the_merchant_and_moves_nothing(
    checkouts, merchant, browser, javascript
) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser, java_script_enabled=javascript) as page:
        await page.goto(topup["checkout_url"])
        await _press(page, "Cancel")
        await _arrives(page, f"{merchant.url}/basket?topup_id={topup['id']}")
    assert await checkouts.shown(topup) == "cancelled"
    assert await checkouts.topped_up(topup["wallet_id"]) == []


async def test_cancel_with_nowhere_to_go(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant, cancel_url=None)
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await _press(page, "Cancel")
        await page.get_by_role("heading", name="This checkout was cancelled").wait_for()
        assert page.url == topup["checkout_url"]
        assert await page.get_by_role("button").count() == 0
    assert merchant.visits == []


async def test_a_link_that_has_expired(checkouts, service, merchant, browser) -> None:
    clock = StandingClock()
    clock.now = utc_now()
    async with (
        service.another_api(clock=clock) as client,
        visiting(browser) as page,
    ):
        topup = await _opened(checkouts, merchant, client=client)
        await page.goto(topup["checkout_url"])
        clock.now += timedelta(minutes=30)
        await _press(page, "Pay")
        await page.get_by_role("heading", name="This checkout has expired").wait_for()
        assert await page.get_by_role("button").count() == 0
    assert await checkouts.topped_up(topup["wallet_id"]) == []


async def test_a_wallet_that_was_closed_meanwhile(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await checkouts.close(topup["wallet_id"])
        await _press(page, "Pay")
        await page.get_by_role("heading", name="The payment failed").wait_for()
        assert "The wallet was closed before the payment was made." in await page.inner_text(
            "main"
        )
        await page.get_by_role("link", name="Back to mch_1").click()
        await _arrives(page, f"{merchant.url}/basket?topup_id={topup['id']}")


async def test_a_payment_that_takes_its_time(checkouts, merchant, browser, javascript) -> None:
    topup = await _opened(checkouts, merchant)
    await checkouts.leave_paying(topup, silent_s=0)
    async with visiting(browser, java_script_enabled=javascript) as page:
        await page.goto(topup["checkout_url"])
        await page.get_by_role("heading", name="Your payment is being processed").wait_for()
        await _arrives(page, _paid(merchant))
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_a_merchant_whose_page_leads_on(checkouts, merchant, browser) -> None:
    # a browser asks the page's policy about each redirect after a form
    merchant.moved_to = merchant.url.replace("127.0.0.1", "localhost") + "/welcome"
    topup = await _opened(checkouts, merchant, redirect_url=f"{merchant.url}/moved")
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await _press(page, "Pay")
        await _arrives(page, merchant.moved_to)


async def test_a_link_that_leads_nowhere(service, browser) -> None:
    told = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    async with visiting(browser, told) as page:
        await page.goto(str(service.client.base_url.join("/checkout/nothing")))
        assert await page.inner_text("h1") == "There is no such checkout"


@pytest.mark.parametrize("phone", PHONES, ids=lambda phone: phone["width"])
async def test_a_narrow_screen(checkouts, merchant, browser, phone) -> None:
    topup = await _opened(checkouts, merchant, amount=2**63 - 1)
    async with visiting(browser, viewport=phone) as page:
        await page.goto(topup["checkout_url"])
        assert await page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
        for name in ("Pay", "Cancel"):
            box = await page.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= phone["width"] - box["width"]
            assert 0 <= box["y"] <= phone["height"] - box["height"]
            assert box["height"] >= 44
        assert (
            float(await page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)"))
            >= 16
        )


async def test_the_keyboard_is_enough_and_shows_where_it_is(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as page:
        await page.goto(topup["checkout_url"])
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "[document.activeElement.textContent,"
            " getComputedStyle(document.activeElement).outlineWidth]"
        )
        assert focused == ["Pay GH₵50.00", "3px"]
        await page.keyboard.press("Enter")
        await _arrives(page, _paid(merchant))


async def test_nothing_is_loaded_from_elsewhere(checkouts, merchant, browser) -> None:
    topup = await _opened(checkouts, merchant)
    async with visiting(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(topup["checkout_url"], wait_until="networkidle")
        assert [url for url in asked if not url.startswith("data:")] == [topup["checkout_url"]]
