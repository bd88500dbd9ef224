"""GET /wallets/:id/topups: newest first, page by page, and only the wallet's own."""

import pytest

from schemas.ids import Owner
from tests.support.query_api import walk


async def test_newest_first(client, checkouts) -> None:
    wallet_id = await checkouts.wallet()
    await checkouts.open()
    made = [await checkouts.open(wallet_id=wallet_id, amount=n) for n in range(1, 6)]
    answer = await client.get(f"/v1/wallets/{wallet_id}/topups")
    assert answer.json() == {"data": made[::-1], "has_more": False}


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_page_by_page(client, checkouts, limit) -> None:
    wallet_id = await checkouts.wallet()
    made = [await checkouts.open(wallet_id=wallet_id) for _ in range(5)]
    assert await walk(client, f"/v1/wallets/{wallet_id}/topups", limit=limit) == made[::-1]


async def test_page_by_page_both_ways(client, checkouts) -> None:
    wallet_id = await checkouts.wallet()
    made = [(await checkouts.open(wallet_id=wallet_id))["id"] for _ in range(4)]
    path = f"/v2/wallets/{wallet_id}/topups"
    first = (await client.get(path, params={"limit": 2})).json()
    assert [each["id"] for each in first["data"]] == [made[3], made[2]]
    assert first["prev_cursor"] is None
    later = (await checkouts.open(wallet_id=wallet_id))["id"]
    second = (await client.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [each["id"] for each in second["data"]] == [made[1], made[0]]
    assert second["next_cursor"] is None
    back = (await client.get(path, params={"limit": 2, "cursor": second["prev_cursor"]})).json()
    assert back["data"] == first["data"]
    newest = (await client.get(path, params={"limit": 2, "cursor": back["prev_cursor"]})).json()
    assert [each["id"] for each in newest["data"]] == [later]


async def test_a_wallet_without_top_ups(client, checkouts) -> None:
    answer = await client.get(f"/v1/wallets/{await checkouts.wallet()}/topups")
    assert answer.json() == {"data": [], "has_more": False}


async def test_another_wallets_top_up_is_no_place_in_the_list(client, checkouts) -> None:
    other = await checkouts.open()
    answer = await client.get(
        f"/v1/wallets/{await checkouts.wallet()}/topups", params={"after": other["id"]}
    )
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("after must be ")


async def test_nobody_else_sees_them(service, checkouts) -> None:
    topup = await checkouts.open()
    for stranger in (Owner("mch_2", "sandbox"), Owner("mch_1", "live")):
        async with service.calling_as(stranger) as calling:
            answer = await calling.get(f"/v1/wallets/{topup['wallet_id']}/topups")
            never = await calling.get("/v1/wallets/wal_nowhere/topups")
        assert (answer.status_code, never.status_code) == (404, 404)
        assert answer.text.replace(topup["wallet_id"], "wal_nowhere") == never.text
