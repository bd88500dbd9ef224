"""POST /wallets/:id/topups: what it takes, what it answers, and what it refuses."""

import asyncio
import re
from datetime import datetime, timedelta

import pytest

from schemas.ids import Owner
from tests.support.checkouts import CANCEL_URL, REDIRECT_URL
from tests.support.wallet_service import SANDBOX

BODY = {"amount": 5000, "redirect_url": REDIRECT_URL}
FIELDS = [
    "id",
    "wallet_id",
    "amount",
    "currency",
    "status",
    "checkout_url",
    "redirect_url",
    "cancel_url",
    "expires_at",
    "created_at",
]
REDIRECT = (
    "must be an absolute https URL (http only for localhost) of at most 2048 ASCII characters,"
    " with no user name, blank or backslash in it."
)


@pytest.fixture
async def wallet_id(checkouts) -> str:
    return await checkouts.wallet()


async def test_it_is_pending_with_a_checkout(client, wallet_id) -> None:
    answer = await client.post(
        f"/v1/wallets/{wallet_id}/topups", json=BODY | {"cancel_url": CANCEL_URL}
    )
    assert answer.status_code == 201
    topup = answer.json()
    assert list(topup) == FIELDS
    assert re.fullmatch("top_[0-9a-f]{24}", topup["id"])
    assert topup["wallet_id"] == wallet_id
    assert (topup["amount"], topup["currency"], topup["status"]) == (5000, "GHS", "pending")
    assert (topup["redirect_url"], topup["cancel_url"]) == (REDIRECT_URL, CANCEL_URL)
    start, end = (datetime.fromisoformat(topup[name]) for name in ("created_at", "expires_at"))
    assert end - start == timedelta(minutes=30)


async def test_the_token_says_nothing(client, wallet_id) -> None:
    answers = [await client.post(f"/v1/wallets/{wallet_id}/topups", json=BODY) for _ in range(3)]
    urls = [answer.json()["checkout_url"] for answer in answers]
    tokens = {url.removeprefix(f"{str(client.base_url).rstrip('/')}/checkout/") for url in urls}
    assert len(tokens) == 3
    for token in tokens:
        # 43 letters of 6 bits hold 256
        assert re.fullmatch("[A-Za-z0-9_-]{43}", token)


async def test_without_a_cancel_url_it_is_null(client, wallet_id) -> None:
    for body in (BODY, BODY | {"cancel_url": None}):
        answer = await client.post(f"/v1/wallets/{wallet_id}/topups", json=body)
        assert answer.json()["cancel_url"] is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"amount": 0}, "amount must be a positive integer."),
        ({"amount": -1}, "amount must be a positive integer."),
        ({"amount": 1.5}, "amount must be a positive integer."),
        ({"amount": "5000"}, "amount must be a positive integer."),
        ({"amount": 2**63}, "amount must be a positive integer."),
        ({"redirect_url": "http://shop.example/"}, f"redirect_url {REDIRECT}"),
        ({"redirect_url": "/paid"}, f"redirect_url {REDIRECT}"),
        ({"redirect_url": ""}, f"redirect_url {REDIRECT}"),
        ({"redirect_url": 1}, f"redirect_url {REDIRECT}"),
        ({"redirect_url": "https://shop.example/\r\nX: y"}, f"redirect_url {REDIRECT}"),
        ({"cancel_url": "javascript:alert(1)"}, f"cancel_url {REDIRECT}"),
        ({"cancel_url": "https://shop.example/" + "a" * 2048}, f"cancel_url {REDIRECT}"),
        ({"amount": ...}, "amount is required."),
        ({"redirect_url": ...}, "redirect_url is required."),
    ],
)
async def test_a_bad_body_is_refused_by_its_field(
    client, checkouts, wallet_id, changes, sentence
) -> None:
    body = {name: value for name, value in (BODY | changes).items() if value is not ...}
    answer = await client.post(f"/v1/wallets/{wallet_id}/topups", json=body)
    assert answer.json() == {"success": False, "error": sentence}
    assert answer.status_code == 400
    assert await _count(checkouts, wallet_id) == 0


async def test_nobody_else_can_top_up_the_wallet(client, service, checkouts, wallet_id) -> None:
    stranger = Owner("mch_2", "sandbox")
    async with service.calling_as(stranger) as calling:
        refused = await calling.post(f"/v1/wallets/{wallet_id}/topups", json=BODY)
        never = await calling.post("/v1/wallets/wal_nowhere/topups", json=BODY)
    for answer, named in ((refused, wallet_id), (never, "wal_nowhere")):
        assert answer.status_code == 404
        assert answer.json() == {
            "success": False,
            "error": f"The requested wallet resource '{named}' was not found.",
        }
    assert await _count(checkouts, wallet_id) == 0


async def test_a_closed_wallet_gets_no_top_up(client, checkouts) -> None:
    closed = await checkouts.wallet(status="closed")
    answer = await client.post(f"/v2/wallets/{closed}/topups", json=BODY)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "wallet_closed"
    assert await _count(checkouts, closed) == 0


async def test_live_has_no_provider(service, checkouts, client) -> None:
    live = Owner(SANDBOX.merchant_id, "live")
    wallet_id = await checkouts.wallet(owner=live)
    async with service.calling_as(live) as calling:
        answer = await calling.post(f"/v2/wallets/{wallet_id}/topups", json=BODY)
        listed = await calling.get(f"/v2/wallets/{wallet_id}/topups")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "payment_provider_missing"
    assert "No payment provider is configured for the live" in answer.json()["error"]["message"]
    assert listed.json()["data"] == []
    assert await _count(checkouts, wallet_id) == 0
    assert (await client.get(f"/v1/wallets/{wallet_id}/topups")).status_code == 404


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_one_key_makes_one_top_up(client, checkouts, wallet_id, version) -> None:
    path, headers = f"/{version}/wallets/{wallet_id}/topups", {"Idempotency-Key": "top-up 1"}
    headers = {"Idempotency-Key": f"top-up of {wallet_id}"}
    answers = await asyncio.gather(
        *(client.post(path, json=BODY, headers=headers) for _ in range(8))
    )
    answers.append(await client.post(path, json=BODY, headers=headers))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert await _count(checkouts, wallet_id) == 1
    other = await client.post(path, json=BODY | {"amount": 1}, headers=headers)
    assert other.status_code == 409


async def test_begun_before_a_crash_it_is_the_same_after_it(client, checkouts, wallet_id) -> None:
    path, headers = f"/v1/wallets/{wallet_id}/topups", {"Idempotency-Key": f"once {wallet_id}"}
    first = await client.post(path, json=BODY, headers=headers)
    # as if the process had died before it kept the answer
    await checkouts.fetchval(
        "UPDATE idempotency_keys SET status = NULL, body = NULL WHERE key = $1",
        headers["Idempotency-Key"],
    )
    await checkouts.close(wallet_id)
    again = await client.post(path, json=BODY, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert await _count(checkouts, wallet_id) == 1


async def test_without_a_key_each_is_another(client, checkouts, wallet_id) -> None:
    for _ in range(2):
        await client.post(f"/v1/wallets/{wallet_id}/topups", json=BODY)
    assert await _count(checkouts, wallet_id) == 2


@pytest.mark.parametrize(("method", "scope"), [("POST", "credits:write"), ("GET", "credits:read")])
async def test_it_takes_the_scope(service, wallet_id, method, scope) -> None:
    others = ["payments:write", "credits:read", "credits:write", "customers:write"]
    others.remove(scope)
    async with service.calling_as(SANDBOX, scopes=others) as calling:
        answer = await calling.request(method, f"/v1/wallets/{wallet_id}/topups", json=BODY)
    assert answer.status_code == 403
    assert f"'{scope}'" in answer.json()["error"]


async def _count(checkouts, wallet_id) -> int:
    found = await checkouts.fetchval("SELECT count(*) FROM topups WHERE wallet_id = $1", wallet_id)
    return int(found)
