"""Walks through lists in both versions, forward and back, while others write."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from schemas.ids import Owner
from tests.support.history import HistoryBuilder
from tests.support.query_api import create_credentials, record, running_api

CURSOR = "cursor must be a next_cursor or prev_cursor of this list with these filters."


async def page(client: httpx.AsyncClient, path: str, **parameters) -> dict:
    answer = await client.get(f"/v2{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"data", "next_cursor", "prev_cursor"}
    return answer.json()


async def pages(
    client: httpx.AsyncClient, path: str, start: dict, towards: str, **parameters
) -> AsyncIterator[dict]:
    """What follows `start`, page by page."""
    while (cursor := start[towards]) is not None:
        start = await page(client, path, cursor=cursor, **parameters)
        yield start


def ids(page: dict) -> list[str]:
    return [each["id"] for each in page["data"]]


async def refused(client: httpx.AsyncClient, path: str, **parameters) -> None:
    answer = await client.get(f"/v2{path}", params=parameters)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"] == CURSOR
    assert answer.json()["error"]["code"] == "parameter_invalid"


def wallets(count: int, **fields) -> HistoryBuilder:
    """Wallets of which several are of one microsecond."""
    history = HistoryBuilder()
    for number in range(count):
        history.create(f"wal_{number:03}", **fields).wait(number % 3)
    return history


async def test_a_list_is_walked_forward_and_back(client, connection) -> None:
    await record(connection, wallets(23))
    newest = [f"wal_{number:03}" for number in range(22, -1, -1)]
    forward = [await page(client, "/wallets", limit=5)]
    forward += [p async for p in pages(client, "/wallets", forward[0], "next_cursor", limit=5)]
    assert [id_ for each in forward for id_ in ids(each)] == newest
    assert [each["prev_cursor"] is None for each in forward] == [True] + [False] * 4
    assert [each["next_cursor"] is None for each in forward] == [False] * 4 + [True]
    back = [p async for p in pages(client, "/wallets", forward[-1], "prev_cursor", limit=5)]
    assert [ids(each) for each in back] == [ids(each) for each in forward[-2::-1]]
    assert back[-1]["prev_cursor"] is None
    assert back[-1] | {"next_cursor": None} == forward[0] | {"next_cursor": None}
    # what leads on from a page that was reached backwards leads to the same pages again
    again = [p async for p in pages(client, "/wallets", back[-1], "next_cursor", limit=5)]
    assert [ids(each) for each in again] == [ids(each) for each in forward[1:]]


async def test_the_limit_may_change_from_page_to_page(client, connection) -> None:
    await record(connection, wallets(9))
    first = await page(client, "/wallets", limit=2)
    second = await page(client, "/wallets", limit=6, cursor=first["next_cursor"])
    third = await page(client, "/wallets", cursor=second["next_cursor"])
    assert ids(first) + ids(second) + ids(third) == [f"wal_{n:03}" for n in range(8, -1, -1)]
    back = await page(client, "/wallets", limit=100, cursor=third["prev_cursor"])
    assert ids(back) == ids(first) + ids(second)
    assert back["prev_cursor"] is None


async def test_a_list_that_fits_leads_nowhere(client, connection) -> None:
    nothing = {"data": [], "next_cursor": None, "prev_cursor": None}
    assert await page(client, "/wallets") == nothing
    await record(connection, wallets(3))
    for limit in (3, 4):
        whole = await page(client, "/wallets", limit=limit)
        assert len(whole["data"]) == 3
        assert (whole["next_cursor"], whole["prev_cursor"]) == (None, None)


async def test_nothing_is_lost_or_doubled_while_wallets_are_added(client, connection) -> None:
    first, second = HistoryBuilder(0), HistoryBuilder(1)
    for number in range(12):
        first.create(f"wal_a{number:02}").wait(number % 3)
        second.create(f"wal_b{number:02}").wait(number % 2)
    await record(connection, first, second)
    before = {*first.wallets, *second.wallets}
    added = 0

    async def add() -> None:
        nonlocal added
        added += 1
        # now among the newest, now with the time of what was there before, and others change
        first.wait(added % 2).create(f"wal_c{added:02}").close(f"wal_a{added % 12:02}")
        second.create(f"wal_d{added:02}")
        await record(connection, first, second)

    forward = [await page(client, "/wallets", limit=4)]
    await add()
    async for each in pages(client, "/wallets", forward[0], "next_cursor", limit=4):
        forward.append(each)
        await add()
    seen = [id_ for each in forward for id_ in ids(each)]
    assert len(seen) == len(set(seen))
    assert before <= set(seen)
    everything = {*first.wallets, *second.wallets}
    back = [forward[-1]]
    async for each in pages(client, "/wallets", forward[-1], "prev_cursor", limit=4):
        back.append(each)
        if added < 12:
            await add()
    returned = [id_ for each in back for id_ in ids(each)]
    assert len(returned) == len(set(returned))
    assert everything <= set(returned)


async def test_transactions_are_walked_forward_and_back(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").create("wal_b")
    for number in range(17):
        history.topup("wal_a", 100 + number).topup("wal_b", 1)
    await record(connection, history)
    path = "/wallets/wal_a/transactions"
    forward = [await page(client, path, limit=4, type="topup")]
    async for each in pages(client, path, forward[0], "next_cursor", limit=4, type="topup"):
        forward.append(each)
        await record(connection, history.topup("wal_a", 7).debit("wal_a", 3))
    amounts = [each["amount"] for part in forward for each in part["data"]]
    assert amounts == list(range(116, 99, -1))
    back = [
        p async for p in pages(client, path, forward[-1], "prev_cursor", limit=4, type="topup")
    ]
    assert [ids(each) for each in back[:4]] == [ids(each) for each in forward[-2::-1]]
    # what was added meanwhile follows
    assert [each["amount"] for each in back[4]["data"]] == [7] * 4
    assert back[4]["prev_cursor"] is None
    assert back[4]["next_cursor"] is not None


async def test_an_empty_page_leads_back_to_what_it_follows(client, connection) -> None:
    history = wallets(6)
    await record(connection, history)
    first = await page(client, "/wallets", status="active", limit=3)
    last = await page(client, "/wallets", status="active", cursor=first["next_cursor"])
    for number in range(3):
        history.freeze(f"wal_{number:03}")
    await record(connection, history)
    empty = await page(client, "/wallets", status="active", cursor=first["next_cursor"])
    assert (empty["data"], empty["next_cursor"]) == ([], None)
    back = await page(client, "/wallets", status="active", cursor=empty["prev_cursor"])
    assert ids(back) == ids(first)
    for number in range(3):
        history.unfreeze(f"wal_{number:03}").freeze(f"wal_{number + 3:03}")
    await record(connection, history)
    empty = await page(client, "/wallets", status="active", cursor=last["prev_cursor"])
    assert (empty["data"], empty["prev_cursor"]) == ([], None)
    back = await page(client, "/wallets", status="active", cursor=empty["next_cursor"])
    assert ids(back) == ids(last)


Change = Callable[[str], str]


@pytest.mark.parametrize(
    "change",
    [
        lambda cursor: "",
        lambda cursor: "x",
        lambda cursor: "wal_005",
        lambda cursor: cursor[:-1],
        lambda cursor: cursor[1:],
        lambda cursor: cursor + "A",
        lambda cursor: cursor.swapcase(),
        lambda cursor: cursor + "=",
        lambda cursor: "é\x00",
        lambda cursor: "A" * 5_000,
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(client, connection, change: Change) -> None:
    await record(connection, wallets(6))
    first = await page(client, "/wallets", limit=3)
    await refused(client, "/wallets", cursor=change(first["next_cursor"]))


async def test_a_cursor_is_of_one_list_with_its_filters(client, connection) -> None:
    history = wallets(6).create("wal_b")
    for _ in range(3):
        history.topup("wal_000", 5).topup("wal_b", 5)
    await record(connection, history)
    cursor = (await page(client, "/wallets", limit=3, currency="GHS"))["next_cursor"]
    assert ids(await page(client, "/wallets", currency="GHS", cursor=cursor))
    for filters in ({}, {"currency": "USD"}, {"currency": "GHS", "status": "active"}):
        await refused(client, "/wallets", cursor=cursor, **filters)
    path = "/wallets/wal_000/transactions"
    await refused(client, path, cursor=cursor)
    cursor = (await page(client, path, limit=1))["next_cursor"]
    assert ids(await page(client, path, cursor=cursor))
    await refused(client, "/wallets/wal_b/transactions", cursor=cursor)
    await refused(client, path, cursor=cursor, type="topup")
    await refused(client, path, cursor=cursor, reference="r1")


async def test_a_cursor_is_of_one_owner(client, connection, database_url) -> None:
    other = Owner("mch_1", "sandbox")
    await record(connection, wallets(3), HistoryBuilder(1).create("wal_s", environment="sandbox"))
    cursor = (await page(client, "/wallets", limit=1))["next_cursor"]
    auth = await create_credentials(database_url, other)
    answer = await client.get("/v2/wallets", params={"cursor": cursor}, auth=auth)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == CURSOR


async def test_the_last_item_of_a_page_names_it_for_its_owner_alone(
    client, connection, database_url
) -> None:
    sandbox = HistoryBuilder(1).create("wal_s", environment="sandbox").topup("wal_s", 1)
    await record(connection, wallets(3).topup("wal_000", 1), sandbox)
    for after in ("wal_s", "wal_nobody"):
        answer = await client.get("/v1/wallets", params={"after": after})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("after must be the id of the last item")
    auth = await create_credentials(database_url, Owner("mch_1", "sandbox"))
    theirs = await client.get("/v1/wallets/wal_s/transactions", auth=auth)
    after = theirs.json()["data"][0]["id"]
    answer = await client.get("/v1/wallets/wal_000/transactions", params={"after": after})
    assert answer.status_code == 400


async def test_another_process_with_newer_keys_reads_the_cursor(
    client, connection, database_url
) -> None:
    await record(connection, wallets(3))
    cursor = (await page(client, "/wallets", limit=1))["next_cursor"]
    keys = "n" * 32 + ",a-secret-key-that-only-tests-have"
    async with running_api(database_url, secret_keys=keys) as rotated:
        # its client's own key was made with the newer secret; either lists the same wallets
        assert ids(await page(rotated, "/wallets", cursor=cursor)) == ["wal_001", "wal_000"]
        newer = (await page(rotated, "/wallets", limit=1))["next_cursor"]
    await refused(client, "/wallets", cursor=newer)
