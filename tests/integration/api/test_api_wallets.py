from datetime import timedelta

import httpx

from tests.support.history import START, HistoryBuilder
from tests.support.query_api import record, walk

MICROSECOND = timedelta(microseconds=1)


async def ids(client: httpx.AsyncClient, **parameters) -> list[str]:
    answer = await client.get("/v1/wallets", params=parameters)
    assert answer.status_code == 200, answer.text
    return [wallet["id"] for wallet in answer.json()["data"]]


async def balance(client: httpx.AsyncClient, wallet_id: str) -> int:
    """The wallet's balance, which the list has to agree with."""
    wallet = (await client.get(f"/v1/wallets/{wallet_id}")).json()
    listed = (await client.get("/v1/wallets")).json()["data"]
    assert [each for each in listed if each["id"] == wallet_id] == [wallet]
    return wallet["balance"]


async def test_a_wallet_has_the_documented_fields(client, connection) -> None:
    history = HistoryBuilder().create("wal_a1b2c3", customer_id="cus_abc123")
    await record(connection, history)
    answer = await client.get("/v1/wallets/wal_a1b2c3")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "id": "wal_a1b2c3",
        "customer_id": "cus_abc123",
        "currency": "GHS",
        "balance": 0,
        "balance_formatted": "GH₵0.00",
        "status": "active",
        "created_at": "2026-01-01T00:00:00Z",
        "metadata": {},
    }


async def test_a_wallet_tells_balance_status_and_metadata(client, connection) -> None:
    metadata = {"plan": "gold", "factor": 1e22, "nested": None, "é": "₵"}
    history = (
        HistoryBuilder()
        .create("wal_a", currency="IQD", metadata=metadata)
        .wait(0.000001)
        .create("wal_b", credit_limit=500)
        .topup("wal_a", 1_234_567, currency="IQD")
        .debit("wal_b", 300)
        .freeze("wal_a")
    )
    await record(connection, history)
    wallet_a = (await client.get("/v1/wallets/wal_a")).json()
    assert wallet_a["balance"] == 1_234_567
    assert wallet_a["balance_formatted"] == "IQD\u00a01,234.567"
    assert wallet_a["status"] == "frozen"
    assert wallet_a["metadata"] == metadata
    wallet_b = (await client.get("/v1/wallets/wal_b")).json()
    assert wallet_b["balance"] == -300
    assert wallet_b["balance_formatted"] == "-GH₵3.00"
    assert wallet_b["created_at"] == "2026-01-01T00:00:00.000001Z"


async def test_lists_are_newest_first(client, connection) -> None:
    assert (await client.get("/v1/wallets")).json() == {"data": [], "has_more": False}
    # two shards, and two wallets of one microsecond
    first = HistoryBuilder(0).create("wal_1").wait(2).create("wal_3").create("wal_4")
    second = HistoryBuilder(1).wait(1).create("wal_2").wait(2).create("wal_5")
    await record(connection, first, second)
    answer = (await client.get("/v1/wallets")).json()
    assert [wallet["id"] for wallet in answer["data"]] == [f"wal_{n}" for n in (5, 4, 3, 2, 1)]
    assert answer["has_more"] is False
    assert answer["data"][0] == (await client.get("/v1/wallets/wal_5")).json()


async def test_lists_are_filtered(client, connection) -> None:
    history = (
        HistoryBuilder()
        .create("wal_1", customer_id="cus_a", currency="GHS")
        .create("wal_2", customer_id="cus_a", currency="USD")
        .create("wal_3", customer_id="cus_b", currency="GHS")
        .create("wal_4", customer_id="cus_b", currency="GHS")
        .freeze("wal_3")
        .close("wal_4")
    )
    await record(connection, history)
    assert await ids(client, customer_id="cus_a") == ["wal_2", "wal_1"]
    assert await ids(client, currency="GHS") == ["wal_4", "wal_3", "wal_1"]
    assert await ids(client, status="active") == ["wal_2", "wal_1"]
    assert await ids(client, status="closed") == ["wal_4"]
    assert await ids(client, customer_id="cus_b", currency="GHS", status="frozen") == ["wal_3"]
    assert await ids(client, customer_id="cus_nobody") == []
    assert await ids(client, customer_id="cus_a", limit=1) == ["wal_2"]
    assert await ids(client, customer_id="cus_a", limit=1, after="wal_2") == ["wal_1"]


async def test_a_page_says_whether_more_follow(client, connection) -> None:
    history = HistoryBuilder()
    for number in range(101):
        history.create(f"wal_{number:03}").wait(1)
    await record(connection, history)
    newest = [f"wal_{number:03}" for number in range(100, -1, -1)]
    default = (await client.get("/v1/wallets")).json()
    assert [wallet["id"] for wallet in default["data"]] == newest[:20]
    assert default["has_more"] is True
    hundred = (await client.get("/v1/wallets", params={"limit": 100})).json()
    assert (len(hundred["data"]), hundred["has_more"]) == (100, True)
    exact = (await client.get("/v1/wallets", params={"limit": 100, "after": "wal_100"})).json()
    assert (len(exact["data"]), exact["has_more"]) == (100, False)
    last = (await client.get("/v1/wallets", params={"after": "wal_000"})).json()
    assert last == {"data": [], "has_more": False}


async def test_pages_stay_whole_while_wallets_are_added_and_changed(client, connection) -> None:
    first, second = HistoryBuilder(0), HistoryBuilder(1)
    for number in range(15):
        first.create(f"wal_a{number:02}").wait(number % 3)
        second.create(f"wal_b{number:02}").wait(number % 2)
    await record(connection, first, second)
    before = {wallet["id"] for wallet in await walk(client, "/v1/wallets", limit=100)}
    seen: list[str] = []
    after: dict[str, str] = {}
    more = True
    while more:
        page = (await client.get("/v1/wallets", params={"limit": 4, **after})).json()
        seen += [wallet["id"] for wallet in page["data"]]
        more, after = page["has_more"], {"after": seen[-1]}
        # what the next page follows is itself changed; others come before it and among it
        shard = first if seen[-1] in first.wallets else second
        shard.close(seen[-1]).wait(1).create(f"wal_{seen[-1][4:]}new")
        await record(connection, first, second)
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


async def test_a_filtered_walk_survives_its_cursor_leaving_the_filter(client, connection) -> None:
    history = HistoryBuilder()
    for number in range(6):
        history.create(f"wal_{number}").wait(1)
    await record(connection, history)
    assert await ids(client, status="active", limit=2) == ["wal_5", "wal_4"]
    await record(connection, history.freeze("wal_4"))
    assert await ids(client, status="active", limit=2, after="wal_4") == ["wal_3", "wal_2"]


async def test_a_lot_is_worth_nothing_from_the_microsecond_it_expires(
    client, connection, clock
) -> None:
    history = (
        HistoryBuilder()
        .create("wal_a")
        .topup("wal_a", 1_000)
        .credit("wal_a", 500, lasts=60)
        .credit("wal_a", 70, lasts=60.000001)
    )
    await record(connection, history)
    expiry = START + timedelta(seconds=60)
    for now, expected in (
        (START, 1_570),
        (expiry - MICROSECOND, 1_570),
        (expiry, 1_070),
        (expiry + MICROSECOND, 1_000),
    ):
        clock.now = now
        assert await balance(client, "wal_a") == expected
    # the entries of the expiries change nothing
    await record(connection, history.wait(61).expire("wal_a"))
    assert await balance(client, "wal_a") == 1_000


async def test_a_clock_that_is_behind_the_shard_does_not_revive_a_lot(
    client, connection, clock
) -> None:
    history = HistoryBuilder().create("wal_a").credit("wal_a", 500, lasts=60)
    await record(connection, history)
    assert await balance(client, "wal_a") == 500
    # the shard's own time moves on by another wallet's command
    await record(connection, history.wait(60).create("wal_b"))
    clock.now = START
    assert await balance(client, "wal_a") == 0
    other_shard = HistoryBuilder(1).create("wal_c").credit("wal_c", 9, lasts=60)
    await record(connection, other_shard)
    assert await balance(client, "wal_c") == 9


async def test_an_overdraft_is_part_of_the_balance(client, connection, clock) -> None:
    history = (
        HistoryBuilder()
        .create("wal_a", credit_limit=100)
        .credit("wal_a", 50, lasts=60)
        .debit("wal_a", 120)
    )
    await record(connection, history)
    assert await balance(client, "wal_a") == -70
    await record(connection, history.credit("wal_a", 100, lasts=60))
    assert await balance(client, "wal_a") == 30
    clock.now = START + timedelta(seconds=60)
    assert await balance(client, "wal_a") == 0
