"""The checkout's pages over HTTP: headers, strangers' links, and trouble."""

import logging
import re

import httpx
import pytest


async def test_nothing_of_a_page_is_kept_or_given_on(checkouts) -> None:
    topup = await checkouts.open()
    page = await checkouts.browser.get(topup["checkout_url"])
    pressed = await checkouts.press(topup, "pay")
    for answer in (page, pressed):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "GH₵50.00" in page.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "nothing"), ("POST", "nothing/pay"), ("POST", "nothing/cancel"), ("GET", "%00")],
)
async def test_a_link_that_leads_nowhere(client, method, path) -> None:
    answer = await client.request(method, f"/checkout/{path}", auth=None)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "There is no such checkout" in answer.text


async def test_looking_changes_nothing(checkouts) -> None:
    topup = await checkouts.open()
    for button in ("pay", "cancel"):
        looked = await checkouts.browser.get(f"{topup['checkout_url']}/{button}")
        assert looked.status_code == 303
        assert str(looked.url.join(looked.headers["location"])) == topup["checkout_url"]
    assert await checkouts.shown(topup) == "pending"


async def test_what_a_live_provider_knows_is_no_checkout_of_ours(checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.fetchval(
        "UPDATE topups SET environment = 'live' WHERE topup_id = $1", topup["id"]
    )
    for pressed in [await checkouts.press(topup, button) for button in ("pay", "cancel")]:
        assert pressed.status_code == 404
    assert (await checkouts.browser.get(topup["checkout_url"])).status_code == 404
    assert await checkouts.stored(topup) == "pending"


async def test_a_page_below_a_path(service, checkouts) -> None:
    async with service.another_api(public_url="https://pay.example/wallets/") as client:
        topup = await checkouts.open(client=client, cancel_url=None)
        assert topup["checkout_url"].startswith("https://pay.example/wallets/checkout/")
        path = topup["checkout_url"].removeprefix("https://pay.example/wallets")
        page = await client.get(path)
        assert re.findall('action="([^"]+)"', page.text) == [
            f"/wallets{path}/pay",
            f"/wallets{path}/cancel",
        ]
        cancelled = await client.post(f"{path}/cancel", follow_redirects=False)
        assert cancelled.headers["location"] == f"/wallets{path}"


async def test_without_the_database_a_page_says_so(service, checkouts, stack) -> None:
    topup = await checkouts.open()
    await stack.postgres.stop()
    try:
        answers = [
            await checkouts.browser.get(topup["checkout_url"]),
            await checkouts.press(topup, "pay"),
        ]
    finally:
        await stack.postgres.start()
    for answer in answers:
        assert answer.status_code == 503
        assert "This page is away for a moment" in answer.text
        assert f'href="{httpx.URL(topup["checkout_url"]).path}"' in answer.text
    await checkouts.until_stored(topup, "pending")


async def test_no_log_line_has_the_token(checkouts, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    topup = await checkouts.open()
    token = topup["checkout_url"].rpartition("/")[2]
    await checkouts.browser.get(topup["checkout_url"])
    await checkouts.press(topup, "pay")
    own = [record.getMessage() for record in caplog.records if record.name.startswith("api")]
    assert any("/checkout/" in line for line in own)
    assert [line for line in own if token in line] == []
