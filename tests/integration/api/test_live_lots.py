"""The live lots of a wallet, which version 2 shows and version 1 does not."""

from datetime import timedelta

import httpx

from schemas.instants import Instant
from tests.support.history import START, HistoryBuilder
from tests.support.query_api import record

V1_FIELDS = {
    "id", "customer_id", "currency", "balance", "balance_formatted", "status", "created_at",
    "metadata",
}  # fmt: skip


async def lots(client: httpx.AsyncClient) -> list[dict]:
    wallet = (await client.get("/v2/wallets/wal_a")).json()
    assert set(wallet) == V1_FIELDS | {"lots"}
    assert all(set(lot) == {"remaining", "expires_at", "priority"} for lot in wallet["lots"])
    first = (await client.get("/v1/wallets/wal_a")).json()
    assert first == {name: wallet[name] for name in V1_FIELDS}
    return wallet["lots"]


async def test_lots_stand_in_the_order_that_debits_spend_them_in(client, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    for amount, lasts, priority in (
        (1, None, 100), (2, 90, 100), (3, 60, 100), (4, 90, 5), (5, None, 5), (6, 60, 1000),
        (7, None, 100), (8, 90, 100), (9, 30, 0),
    ):  # fmt: skip
        history.credit("wal_a", amount, lasts=lasts, priority=priority)
    await record(connection, history)
    shown = await lots(client)
    assert [lot["remaining"] for lot in shown] == [9, 4, 5, 3, 2, 8, 1, 7, 6]
    assert [lot["priority"] for lot in shown] == [0, 5, 5, 100, 100, 100, 100, 100, 1000]
    assert shown[0]["expires_at"] == "2026-01-01T00:00:30Z"
    assert shown[2]["expires_at"] is None
    # what the engine keeps, it keeps in the same order
    assert [lot.remaining for lot in history.wallets["wal_a"].lots] == [
        lot["remaining"] for lot in shown
    ]
    await record(connection, history.debit("wal_a", 9 + 4 + 2))
    assert [lot["remaining"] for lot in await lots(client)] == [3, 3, 2, 8, 1, 7, 6]


async def test_only_what_is_worth_something_is_shown(client, connection, clock) -> None:
    history = HistoryBuilder().create("wal_a").credit("wal_a", 500, lasts=60).topup("wal_a", 70)
    await record(connection, history)
    clock.now = START + timedelta(seconds=60) - timedelta(microseconds=1)
    assert [lot["remaining"] for lot in await lots(client)] == [500, 70]
    clock.now = START + timedelta(seconds=60)
    assert [lot["remaining"] for lot in await lots(client)] == [70]
    await record(connection, history.debit("wal_a", 570).wait(61))
    assert await lots(client) == []


async def test_what_is_owed_is_no_lot(client, connection) -> None:
    history = HistoryBuilder().create("wal_a", credit_limit=100).debit("wal_a", 30)
    await record(connection, history)
    assert (await client.get("/v2/wallets/wal_a")).json()["balance"] == -30
    assert await lots(client) == []
    until = Instant.of(START + timedelta(days=1))
    await record(connection, history.credit("wal_a", 40, expires_at=until, priority=7))
    assert await lots(client) == [
        {"remaining": 10, "expires_at": "2026-01-02T00:00:00Z", "priority": 7}
    ]


async def test_lists_show_no_lots_in_either_version(client, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a").topup("wal_a", 5))
    for version in ("v1", "v2"):
        (wallet,) = (await client.get(f"/{version}/wallets")).json()["data"]
        assert set(wallet) == V1_FIELDS
