"""Pay and Cancel: what is pressed, where it leads, and what it does to the wallet."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from api.topups.rows import TopupRows
from schemas.instants import utc_now
from tests.support.checkouts import CANCEL_URL
from tests.support.query_api import StandingClock


def _paid(topup) -> str:
    return f"https://shop.example/paid?order=7&tag=a%20b&topup_id={topup['id']}#top"


async def test_pay_moves_the_money_and_goes_on_to_the_merchant(checkouts) -> None:
    topup = await checkouts.open()
    pressed = await checkouts.press(topup, "pay")
    assert pressed.status_code == 303
    assert pressed.headers["location"] == _paid(topup)
    assert await checkouts.shown(topup) == "succeeded"
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_a_frozen_wallet_takes_top_ups(checkouts) -> None:
    wallet_id = await checkouts.wallet(status="frozen")
    topup = await checkouts.open(wallet_id=wallet_id)
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"] == _paid(topup)
    assert await checkouts.topped_up(wallet_id) == [topup["id"]]


async def test_pressing_again_leads_to_the_same_end(checkouts) -> None:
    topup = await checkouts.open()
    for _ in range(3):
        pressed = await checkouts.press(topup, "pay")
        assert (pressed.status_code, pressed.headers["location"]) == (303, _paid(topup))
    looked = await checkouts.browser.get(topup["checkout_url"])
    assert (looked.status_code, looked.headers["location"]) == (303, _paid(topup))
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_many_who_press_at_once_on_two_servers_pay_once(checkouts, service) -> None:
    async with service.another_api() as other:
        topup = await checkouts.open()
        path = topup["checkout_url"].removeprefix(str(service.client.base_url).rstrip("/"))
        pressed = await asyncio.gather(
            *(
                client.post(f"{path}/pay", follow_redirects=False)
                for client in [service.client, other] * 16
            )
        )
    assert {each.status_code for each in pressed} == {303}
    assert {each.headers["location"] for each in pressed} == {_paid(topup)}
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]
    await checkouts.until(
        "SELECT balance FROM wallets WHERE wallet_id = $1", topup["wallet_id"], 5000
    )


@pytest.mark.parametrize("move", ["debit", "credit"])
async def test_nobody_takes_the_reference_of_a_payment(checkouts, service, move) -> None:
    topup = await checkouts.open()
    answer = await service.client.post(
        f"/v1/wallets/{topup['wallet_id']}/{move}",
        json={"amount": 1, "description": "too early", "reference": topup["id"]},
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "reference must not be the id of a top-up."
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"] == _paid(topup)
    assert await checkouts.shown(topup) == "succeeded"


async def test_cancel_goes_back_to_the_merchant_and_nothing_is_paid(checkouts) -> None:
    topup = await checkouts.open()
    for _ in range(2):
        pressed = await checkouts.press(topup, "cancel")
        assert pressed.status_code == 303
        assert pressed.headers["location"] == f"{CANCEL_URL}?topup_id={topup['id']}"
    assert await checkouts.shown(topup) == "cancelled"
    late = await checkouts.press(topup, "pay")
    assert late.headers["location"] == f"/checkout/{topup['checkout_url'].rpartition('/')[2]}"
    assert await checkouts.shown(topup) == "cancelled"
    assert await checkouts.topped_up(topup["wallet_id"]) == []


async def test_cancel_without_a_cancel_url_ends_on_a_page_of_ours(checkouts) -> None:
    topup = await checkouts.open(cancel_url=None)
    assert topup["cancel_url"] is None
    pressed = await checkouts.press(topup, "cancel")
    page = await checkouts.browser.get(str(pressed.url.join(pressed.headers["location"])))
    assert page.status_code == 200
    assert "This checkout was cancelled" in page.text


async def test_cancel_after_pay_does_not_cancel(checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.press(topup, "pay")
    pressed = await checkouts.press(topup, "cancel")
    assert pressed.headers["location"] == _paid(topup)
    assert await checkouts.shown(topup) == "succeeded"


async def test_a_wallet_closed_meanwhile_fails_and_the_page_says_why(checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.close(topup["wallet_id"])
    pressed = await checkouts.press(topup, "pay")
    page = await checkouts.browser.get(str(pressed.url.join(pressed.headers["location"])))
    assert "The payment failed" in page.text
    assert "The wallet was closed before the payment was made." in page.text
    assert f"{CANCEL_URL}?topup_id={topup['id']}" in page.text
    assert await checkouts.shown(topup) == "failed"
    assert await checkouts.topped_up(topup["wallet_id"]) == []


@pytest.fixture
async def later(service):
    """An API beside the service's own, whose clock the test moves."""
    clock = StandingClock()
    clock.now = utc_now()
    async with service.another_api(clock=clock) as client:
        yield client, clock


@pytest.mark.parametrize("button", ["pay", "cancel"])
async def test_it_expires_to_the_microsecond(checkouts, later, button) -> None:
    client, clock = later
    topup = await checkouts.open(client=client)
    end = await checkouts.expires_at(topup)
    assert end == clock.now + timedelta(minutes=30)
    clock.now = end
    # whether or not anybody has swept yet
    assert await checkouts.shown(topup, client) == "expired"
    pressed = await checkouts.press(topup, button)
    page = await checkouts.browser.get(str(pressed.url.join(pressed.headers["location"])))
    assert "This checkout has expired" in page.text
    assert "<button" not in page.text
    assert await checkouts.topped_up(topup["wallet_id"]) == []


async def test_what_is_over_is_stored_as_expired(checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.fetchval(
        "UPDATE topups SET expires_at = clock_timestamp() WHERE topup_id = $1", topup["id"]
    )
    await checkouts.until_stored(topup, "expired")


async def test_a_clock_that_is_ahead_ends_nothing_for_good(checkouts, service) -> None:
    topup = await checkouts.open()
    async with asyncpg.create_pool(service.settings.database_url, min_size=0) as pool:
        await TopupRows(pool).expire(await checkouts.expires_at(topup) + timedelta(hours=1))
    assert await checkouts.stored(topup) == "pending"
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"] == _paid(topup)


async def test_the_last_microsecond_is_in_time(checkouts, later) -> None:
    client, clock = later
    topup = await checkouts.open(client=client)
    clock.now = await checkouts.expires_at(topup) - timedelta(microseconds=1)
    assert await checkouts.shown(topup, client) == "pending"
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"] == _paid(topup)
    clock.now += timedelta(days=1)
    assert await checkouts.shown(topup, client) == "succeeded"
