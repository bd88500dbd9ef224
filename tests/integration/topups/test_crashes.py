"""What a payment comes to when whoever began it dies in between."""

import asyncio

import httpx
import pytest

from schemas.commands import TopUp
from tests.support.checkouts import Checkouts
from tests.support.http_deployment import HttpDeployment
from tests.support.query_api import create_credentials
from tests.support.wallet_service import SANDBOX, WalletService


def _command(topup) -> TopUp:
    return TopUp(
        wallet_id=topup["wallet_id"],
        reference=topup["id"],
        merchant_id=SANDBOX.merchant_id,
        environment=SANDBOX.environment,
        amount=topup["amount"],
        currency=topup["currency"],
        description="Top-up",
    )


async def test_dead_before_the_command_was_sent(checkouts: Checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.leave_paying(topup)
    assert await checkouts.shown(topup) == "pending"
    await checkouts.until_stored(topup, "succeeded")
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_dead_after_the_command_was_sent(checkouts: Checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.send(_command(topup))
    await checkouts.leave_paying(topup)
    await checkouts.until_stored(topup, "succeeded")
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_dead_before_the_outcome_was_kept_and_pressed_again(checkouts: Checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.send(_command(topup))
    await checkouts.leave_paying(topup, silent_s=0)
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"].startswith("https://shop.example/paid")
    assert await checkouts.shown(topup) == "succeeded"
    assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


async def test_dead_and_the_wallet_closed_meanwhile(checkouts: Checkouts) -> None:
    topup = await checkouts.open()
    await checkouts.close(topup["wallet_id"])
    await checkouts.leave_paying(topup)
    await checkouts.until_stored(topup, "failed")
    assert await checkouts.shown(topup) == "failed"
    assert await checkouts.topped_up(topup["wallet_id"]) == []


async def test_what_is_paying_can_be_neither_cancelled_nor_expired(checkouts: Checkouts) -> None:
    topup = await checkouts.open()
    # no sweep for a minute
    await checkouts.leave_paying(topup, silent_s=-60)
    pressed = await checkouts.press(topup, "cancel")
    assert pressed.headers["location"].startswith("/checkout/")
    assert await checkouts.stored(topup) == "paying"
    await checkouts.fetchval(
        "UPDATE topups SET created_at = created_at - interval '1 day',"
        " expires_at = expires_at - interval '1 day' WHERE topup_id = $1",
        topup["id"],
    )
    assert await checkouts.shown(topup) == "pending"
    pressed = await checkouts.press(topup, "pay")
    assert pressed.headers["location"].startswith("https://shop.example/paid")
    assert await checkouts.shown(topup) == "succeeded"


async def test_kafka_away_is_a_page_that_waits_and_then_goes_on(stack, service) -> None:
    async with (
        service.another_api(api_deadline_ms=3_000) as client,
        Checkouts.of(service) as checkouts,
    ):
        topup = await checkouts.open(client=client)
        await stack.kafka.stop()
        try:
            pressed = await checkouts.press(topup, "pay")
            assert pressed.status_code == 303
            page = await checkouts.browser.get(str(pressed.url.join(pressed.headers["location"])))
            assert page.status_code == 200
            assert "Your payment is being processed" in page.text
            assert 'http-equiv="refresh"' in page.text
            assert await checkouts.shown(topup, client) == "pending"
        finally:
            await stack.kafka.start()
        await checkouts.until_stored(topup, "succeeded")
        assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]


# processes take their time to start on a busy machine
@pytest.mark.timeout(300)
async def test_killed_while_the_customer_waits(stack) -> None:
    async with HttpDeployment.on(stack) as deployment:
        for kind in ("engine", "projector", "api"):
            deployment.start(kind)
        await deployment.until_ready()
        settings = deployment.settings
        auth = await create_credentials(settings.database_url, SANDBOX)
        async with (
            httpx.AsyncClient(base_url=deployment.url(0), auth=auth, timeout=30) as client,
            Checkouts.of(WalletService(settings, client)) as checkouts,
        ):
            topup = await checkouts.open()
            await deployment.kill("engine")
            pressing = asyncio.create_task(checkouts.press(topup, "pay"))
            await checkouts.until_stored(topup, "paying")
            await deployment.kill("api")
            (pressed,) = await asyncio.gather(pressing, return_exceptions=True)
            assert isinstance(pressed, httpx.TransportError)
            for kind in ("engine", "api"):
                deployment.start(kind)
            await deployment.until_ready()
            await checkouts.until_stored(topup, "succeeded")
            assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]
            # the same link, once more
            pressed = await checkouts.press(topup, "pay")
            assert pressed.headers["location"].startswith("https://shop.example/paid")
        assert await checkouts.topped_up(topup["wallet_id"]) == [topup["id"]]
