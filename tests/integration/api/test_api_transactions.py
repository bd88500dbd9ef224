from datetime import timedelta

import httpx

from schemas.digests import command_id
from schemas.ids import transaction_id
from tests.support.history import START, HistoryBuilder
from tests.support.query_api import record, walk


async def transactions(client: httpx.AsyncClient, wallet_id: str, **parameters) -> list[dict]:
    answer = await client.get(f"/v1/wallets/{wallet_id}/transactions", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def every_type() -> HistoryBuilder:
    """A wallet with a transaction of every type, two of them made by one command."""
    return (
        HistoryBuilder(shard=3)
        .create("wal_a")
        .topup("wal_a", 15_000, reference="top_1")
        .wait(1)
        .debit(
            "wal_a",
            500,
            reference="sms_batch_8821",
            description="10 SMS messages sent",
            metadata={"n": 10},
        )
        .wait(1)
        .credit("wal_a", 100, reference="promo", lasts=8, description="Welcome")
        .credit("wal_a", 200, reference="for ever")
        .wait(8)
        .close("wal_a", reference="bye")
    )


async def test_transactions_have_the_documented_fields(client, connection) -> None:
    history = every_type()
    await record(connection, history)
    answer = await client.get("/v1/wallets/wal_a/transactions")
    assert answer.status_code == 200
    page = answer.json()
    assert page["has_more"] is False
    write_off, expiry, lasting, credit, debit, topup = page["data"]
    expired = next(e for e in history.entries if type(e.event).__name__ == "Expired")
    written_off = next(e for e in history.entries if type(e.event).__name__ == "WrittenOff")

    assert debit == {
        "id": transaction_id(3, command_id("wal_a", "sms_batch_8821").hex()),
        "type": "debit",
        "amount": 500,
        "balance_before": 15_000,
        "balance_after": 14_500,
        "reference": "sms_batch_8821",
        "description": "10 SMS messages sent",
        "metadata": {"n": 10},
        "created_at": "2026-01-01T00:00:01Z",
    }
    assert topup == {
        "id": transaction_id(3, command_id("wal_a", "top_1").hex()),
        "type": "topup",
        "amount": 15_000,
        "balance_before": 0,
        "balance_after": 15_000,
        "reference": "top_1",
        "description": "",
        "metadata": {},
        "created_at": "2026-01-01T00:00:00Z",
    }
    assert credit == {
        "id": transaction_id(3, command_id("wal_a", "promo").hex()),
        "type": "credit",
        "amount": 100,
        "balance_before": 14_500,
        "balance_after": 14_600,
        "reference": "promo",
        "description": "Welcome",
        "metadata": {},
        "created_at": "2026-01-01T00:00:02Z",
        "expires_at": "2026-01-01T00:00:10Z",
    }
    assert lasting["type"] == "credit"
    assert lasting["expires_at"] is None
    assert expiry == {
        "id": transaction_id(3, expired.command_id),
        "type": "expiry",
        "amount": 100,
        "balance_before": 14_800,
        "balance_after": 14_700,
        "reference": None,
        "description": "",
        "metadata": {},
        "created_at": "2026-01-01T00:00:10Z",
    }
    assert write_off == {
        "id": transaction_id(3, written_off.command_id),
        "type": "write_off",
        "amount": 14_700,
        "balance_before": 14_700,
        "balance_after": 0,
        "reference": "bye",
        "description": write_off["description"],
        "metadata": {},
        "created_at": "2026-01-01T00:00:10Z",
    }


async def test_a_type_can_be_asked_for(client, connection) -> None:
    await record(connection, every_type())
    for kind, references in (
        ("topup", ["top_1"]),
        ("debit", ["sms_batch_8821"]),
        ("credit", ["for ever", "promo"]),
        ("expiry", [None]),
        ("write_off", ["bye"]),
    ):
        found = await transactions(client, "wal_a", type=kind)
        assert [each["type"] for each in found] == [kind] * len(references)
        assert [each["reference"] for each in found] == references


async def test_a_reference_can_be_asked_for(client, connection) -> None:
    history = every_type().create("wal_b").topup("wal_b", 5, reference="sms_batch_8821")
    history.topup("wal_b", 5, reference="null").topup("wal_b", 5, reference="a&b=é ₵+%00")
    await record(connection, history)
    for wallet_id, reference in (
        ("wal_a", "top_1"),
        ("wal_a", "sms_batch_8821"),
        ("wal_a", "for ever"),
        ("wal_a", "bye"),
        ("wal_b", "null"),
        ("wal_b", "a&b=é ₵+%00"),
    ):
        found = await transactions(client, wallet_id, reference=reference)
        assert [each["reference"] for each in found] == [reference]
        assert found[0] in await transactions(client, wallet_id)


async def test_a_reference_is_sought_in_its_wallet_among_what_moved_money(
    client, connection
) -> None:
    history = (
        HistoryBuilder()
        .create("wal_a", reference="made")
        .create("wal_b")
        .debit("wal_a", 5, reference="refused")
        .topup("wal_b", 5, reference="of b")
        .topup("wal_a", 9, reference="both")
    )
    await record(connection, history)
    for reference in ("made", "refused", "of b", "of nobody"):
        assert await transactions(client, "wal_a", reference=reference) == []
    assert await transactions(client, "wal_a", reference="both", type="debit") == []
    (only,) = await transactions(client, "wal_a", reference="both", type="topup")
    assert await transactions(client, "wal_a", reference="both", after=only["id"]) == []


async def test_other_wallets_transactions_are_not_shown(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").create("wal_b")
    history.topup("wal_a", 1).topup("wal_b", 2).topup("wal_a", 3)
    await record(connection, history)
    assert [each["amount"] for each in await transactions(client, "wal_a")] == [3, 1]
    assert [each["amount"] for each in await transactions(client, "wal_b")] == [2]


async def test_a_wallet_without_transactions_has_an_empty_list(client, connection) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    answer = await client.get("/v1/wallets/wal_a/transactions")
    assert answer.json() == {"data": [], "has_more": False}


async def test_pages_stay_whole_while_transactions_are_added(client, connection) -> None:
    history = HistoryBuilder().create("wal_a").create("wal_b")
    for number in range(23):
        history.topup("wal_a", 100 + number).topup("wal_b", 1)
    await record(connection, history)
    seen, after, more = [], {}, True
    while more:
        answer = await client.get("/v1/wallets/wal_a/transactions", params={"limit": 5, **after})
        page = answer.json()
        seen += page["data"]
        more, after = page["has_more"], {"after": seen[-1]["id"]}
        await record(connection, history.topup("wal_a", 7).debit("wal_a", 3))
    assert [each["amount"] for each in seen] == list(range(122, 99, -1))


async def test_limits_bound_the_page(client, connection) -> None:
    history = HistoryBuilder().create("wal_a")
    for number in range(101):
        history.topup("wal_a", 1 + number)
    await record(connection, history)
    path = "/v1/wallets/wal_a/transactions"
    default = (await client.get(path)).json()
    assert ([t["amount"] for t in default["data"]], default["has_more"]) == (
        list(range(101, 81, -1)),
        True,
    )
    for limit, length, has_more in ((1, 1, True), (100, 100, True)):
        page = (await client.get(path, params={"limit": limit})).json()
        assert (len(page["data"]), page["has_more"]) == (length, has_more)
    everything = await walk(client, path, limit=100)
    assert [each["amount"] for each in everything] == list(range(101, 0, -1))
    rest = (await client.get(path, params={"after": everything[-2]["id"]})).json()
    assert ([t["amount"] for t in rest["data"]], rest["has_more"]) == ([1], False)
    full = (await client.get(path, params={"after": everything[-3]["id"], "limit": 2})).json()
    assert ([t["amount"] for t in full["data"]], full["has_more"]) == ([2, 1], False)


async def test_an_expired_lots_transaction_comes_with_its_entry(client, connection, clock) -> None:
    history = HistoryBuilder().create("wal_a").credit("wal_a", 500, lasts=60)
    await record(connection, history)
    clock.now = START + timedelta(seconds=60)
    assert [each["type"] for each in await transactions(client, "wal_a")] == ["credit"]
    await record(connection, history.wait(60).expire("wal_a"))
    assert [each["type"] for each in await transactions(client, "wal_a")] == ["expiry", "credit"]
