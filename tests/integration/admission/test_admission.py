"""Who is let in, in which order it is decided, and what the access log says of it."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.query_api import OWNER, create_credentials, running_api

WALLETS = "/v1/wallets"
MISSING = "/v1/wallets/wal_nowhere"


@pytest.fixture
def calling(api, database):
    """Clients with keys of their own."""

    @asynccontextmanager
    async def calling(**key):
        auth = await create_credentials(database, OWNER, **key)
        async with httpx.AsyncClient(base_url=api.client.base_url, timeout=30, auth=auth) as each:
            yield each

    return calling


def lines_of(caplog) -> list[dict]:
    return [json.loads(each.message) for each in caplog.records if each.name == "api.access_log"]


async def burst(client: httpx.AsyncClient, number: int) -> list[httpx.Response]:
    return list(await asyncio.gather(*(client.get(MISSING) for _ in range(number))))


async def test_a_key_that_asks_too_often_is_told_so_word_for_word(calling) -> None:
    async with calling(requests_per_second=3) as client, calling(requests_per_second=3) as other:
        refused = [each for each in await burst(client, 30) if each.status_code == 429]
        assert refused
        assert refused[0].json() == {
            "success": False,
            "error": "Rate limit exceeded. You are limited to 3 API requests per second.",
        }
        assert refused[0].headers["retry-after"] == "1"
        # keys do not share
        assert (await other.get(MISSING)).status_code == 404


async def test_version_2_says_the_same_in_its_shape(calling) -> None:
    async with calling(requests_per_second=1) as client:
        answers = await asyncio.gather(*(client.get("/v2/wallets") for _ in range(10)))
    (body, *_) = [each.json() for each in answers if each.status_code == 429]
    assert body["error"]["code"] == "rate_limited"
    assert body["error"]["message"].startswith("Rate limit exceeded. You are limited to 1 ")


async def test_a_key_is_let_through_again_in_the_next_second(calling) -> None:
    async with calling(requests_per_second=1) as client:
        assert 429 in {each.status_code for each in await burst(client, 10)}
        for _ in range(200):
            if (await client.get(MISSING)).status_code == 404:
                return
            await asyncio.sleep(0.1)
        pytest.fail("it was never let through again")


async def test_wrong_credentials_use_up_no_requests(calling) -> None:
    async with calling(requests_per_second=2) as client:
        wrong = httpx.BasicAuth("0" * 12, "0" * 64)
        for _ in range(10):
            assert (await client.get(MISSING, auth=wrong)).status_code == 401
        assert (await client.get(MISSING)).status_code == 404


@pytest.mark.parametrize(
    ("networks", "forwarded", "status"),
    [
        (["127.0.0.1/32"], None, 404),
        (["203.0.113.0/24"], None, 403),
        (["203.0.113.0/24"], "203.0.113.9", 404),
        (["203.0.113.0/24"], "203.0.113.9, 198.51.100.1", 403),
        (["203.0.113.0/24"], "198.51.100.1, 203.0.113.9", 404),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", 404),
        (["2001:db8::/32"], "[2001:db8::7]:80", 404),
        (["127.0.0.0/8", "203.0.113.0/24"], "unknown", 403),
        ([], "unknown", 404),
    ],
)
async def test_a_key_is_refused_from_elsewhere(
    calling, caplog, networks, forwarded, status
) -> None:
    caplog.set_level(logging.INFO, "api.access_log")
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with calling(allowed_networks=networks) as client:
        answer = await client.get(MISSING, headers=headers)
    assert answer.status_code == status
    (line,) = lines_of(caplog)
    if status == 403:
        shown = line["client"] or "an unknown address"
        assert answer.json() == {
            "success": False,
            "error": f"Forbidden. This API key may not be used from {shown}.",
        }


async def test_who_is_not_a_trusted_proxy_is_not_believed(database, stack, calling) -> None:
    async with (
        running_api(database, kafka_bootstrap=stack.kafka_bootstrap) as trusting_nobody,
        calling(allowed_networks=["203.0.113.0/24"]) as key,
    ):
        for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
            answer = await trusting_nobody.get(MISSING, auth=key.auth, headers=headers)
            assert answer.status_code == 403


async def test_the_order_is_key_rate_address_scope(calling) -> None:
    key = {"allowed_networks": ["203.0.113.0/24"], "scopes": ["payments:read"]}
    async with calling(requests_per_second=1, **key) as client:
        statuses = {each.status_code for each in await burst(client, 10)}
        assert statuses == {403, 429}
        answer = await client.get(MISSING, auth=httpx.BasicAuth("0" * 12, "0" * 64))
        assert answer.status_code == 401
    async with calling(**key) as client:
        assert "may not be used from" in (await client.get(MISSING)).json()["error"]
        inside = {"X-Forwarded-For": "203.0.113.9"}
        assert (await client.get(MISSING, headers=inside)).json()["error"] == (
            "Forbidden. This API key lacks the 'credits:read' scope required to perform this"
            " action."
        )


async def test_the_access_log_names_the_key_and_whom_it_acts_for(calling, caplog) -> None:
    caplog.set_level(logging.INFO, "api.access_log")
    async with calling() as client:
        await client.get(f"{WALLETS}?limit=5", headers={"X-Forwarded-For": "203.0.113.9"})
        await client.get(WALLETS, auth=httpx.BasicAuth("0" * 12, "0" * 64))
    good, wrong = lines_of(caplog)
    assert (good["merchant_id"], good["environment"]) == OWNER
    assert len(good["client_id"]) == 12
    assert (good["client"], good["path"], good["status"]) == ("203.0.113.9", WALLETS, 200)
    # what was not found to be good is nobody's, and may be anything
    assert [wrong[name] for name in ("merchant_id", "environment", "client_id")] == [None] * 3
    assert (wrong["client"], wrong["status"]) == ("127.0.0.1", 401)


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/checkout/tok_secret", "/checkout/…"),
        ("/checkout/tok_secret/pay?x=tok_secret", "/checkout/…/pay"),
        ("//checkout//tok_secret/cancel", "//checkout//…/cancel"),
        ("/%63heckout/tok%5fsecret", "/checkout/…"),
        ("/CHECKOUT/tok_secret", "/CHECKOUT/…"),
        ("/checkout%2Ftok_secret", "/checkout/…"),
        ("/v1/checkout/tok_secret", "/v1/checkout/…"),
        ("/v1/wallets/wal%20a", "/v1/wallets/wal%20a"),
    ],
)
async def test_the_token_of_a_checkout_page_is_not_logged(api, caplog, path, logged) -> None:
    caplog.set_level(logging.DEBUG)
    await api.ask(b"GET " + path.encode())
    (line,) = lines_of(caplog)
    assert line["path"] == logged
    assert "secret" not in caplog.text
