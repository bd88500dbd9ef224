"""Listing customers: newest first, page by page, or by their email."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from schemas.ids import Owner
from tests.support.customers import create_customer
from tests.support.query_api import walk
from tests.support.wallet_service import WalletService


@pytest_asyncio.fixture
async def shop(service: WalletService) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a merchant that has no customers yet."""
    async with service.calling_as(Owner(f"mch_{secrets.token_hex(4)}", "sandbox")) as client:
        yield client


async def test_a_list_is_what_was_made_newest_first(shop: httpx.AsyncClient) -> None:
    made = [await create_customer(shop, name=f"Customer {number}") for number in range(5)]
    answer = await shop.get("/v1/customers")
    assert answer.status_code == 200
    assert answer.json() == {"data": made[::-1], "has_more": False}


async def test_pages_follow_one_another(shop: httpx.AsyncClient) -> None:
    made = [await create_customer(shop) for _ in range(5)]
    assert await walk(shop, "/v1/customers", limit=2) == made[::-1]
    first = (await shop.get("/v1/customers", params={"limit": 2})).json()
    assert (first["data"], first["has_more"]) == ([made[4], made[3]], True)


async def test_a_page_follows_a_customer_that_was_deleted_meanwhile(
    shop: httpx.AsyncClient,
) -> None:
    made = [await create_customer(shop) for _ in range(3)]
    assert (await shop.delete(f"/v1/customers/{made[1]['id']}")).status_code == 200
    after = await shop.get("/v1/customers", params={"after": made[1]["id"]})
    assert after.json() == {"data": [made[0]], "has_more": False}


async def test_version_2_goes_both_ways(shop: httpx.AsyncClient) -> None:
    made = [await create_customer(shop) for _ in range(3)]
    first = (await shop.get("/v2/customers", params={"limit": 2})).json()
    assert first["data"] == [made[2], made[1]]
    assert first["prev_cursor"] is None
    newer = await create_customer(shop)
    second = (
        await shop.get("/v2/customers", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert second["data"] == [made[0]]
    assert second["next_cursor"] is None
    back = (
        await shop.get("/v2/customers", params={"limit": 2, "cursor": second["prev_cursor"]})
    ).json()
    assert back["data"] == [made[2], made[1]]
    assert back["prev_cursor"] is not None
    first = (
        await shop.get("/v2/customers", params={"limit": 2, "cursor": back["prev_cursor"]})
    ).json()
    assert first["data"] == [newer]


async def test_an_email_finds_its_customer_however_it_is_written(shop: httpx.AsyncClient) -> None:
    customer = await create_customer(shop, email="Ama.Owusu@Example.com")
    await create_customer(shop, email="ama.owusu@example.com.gh")
    for spelling in ("Ama.Owusu@Example.com", "ama.owusu@example.com", "AMA.OWUSU@EXAMPLE.COM"):
        answer = await shop.get("/v1/customers", params={"email": spelling})
        assert answer.json() == {"data": [customer], "has_more": False}
    for other in ("ama@example.com", "ama.owusu@example.co", "owusu@example.com"):
        answer = await shop.get("/v1/customers", params={"email": other})
        assert answer.json() == {"data": [], "has_more": False}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"limit": "0"}, "limit must be an integer from 1 to 100."),
        ({"limit": "101"}, "limit must be an integer from 1 to 100."),
        ({"email": "ama"}, "email must be a valid email address."),
        ({"after": "cus_nobody"}, "after must be the id of the last item of the page before."),
        ({"after": "wal_a1b2c3"}, "after must be the id of the last item of the page before."),
    ],
)
async def test_a_bad_parameter_is_refused_by_its_name(
    client: httpx.AsyncClient, parameters: dict[str, str], sentence: str
) -> None:
    answer = await client.get("/v1/customers", params=parameters)
    assert (answer.status_code, answer.json()) == (400, {"success": False, "error": sentence})


async def test_twenty_are_on_a_page_unless_told_otherwise(shop: httpx.AsyncClient) -> None:
    for _ in range(21):
        await create_customer(shop)
    page = (await shop.get("/v1/customers")).json()
    assert (len(page["data"]), page["has_more"]) == (20, True)
