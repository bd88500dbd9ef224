"""POST /wallets/:id/credit, as the reference has it."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from schemas.instants import to_text
from tests.support.customers import INSTANT
from tests.support.money_calls import balance, credit, debit, open_wallet


def _in(**span: float) -> str:
    return to_text(datetime.now(UTC) + timedelta(**span))


async def test_a_credit_is_a_transaction(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    transaction = await credit(client, wallet_id, 750, "goodwill_1", metadata={"ticket": "T-1"})
    assert re.fullmatch(r"txn_[0-9a-f]{36}", transaction.pop("id"))
    assert INSTANT.fullmatch(transaction.pop("created_at"))
    assert transaction == {
        "type": "credit",
        "amount": 750,
        "balance_before": 0,
        "balance_after": 750,
        "reference": "goodwill_1",
        "description": "A credit",
        "metadata": {"ticket": "T-1"},
        "expires_at": None,
    }


async def test_the_answer_is_the_transaction_that_lists_show(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    transaction = await credit(client, wallet_id, 750, "goodwill_1", expires_at=_in(days=1))
    listed = await client.get(f"/v1/wallets/{wallet_id}/transactions")
    assert listed.json()["data"] == [transaction]


async def test_a_credit_may_end(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    ends = datetime.now(UTC) + timedelta(seconds=4)
    transaction = await credit(client, wallet_id, 750, "r", expires_at=to_text(ends))
    assert datetime.fromisoformat(transaction["expires_at"]) == ends
    await asyncio.sleep((ends - datetime.now(UTC)).total_seconds() + 0.01)
    assert await balance(client, wallet_id) == 0
    refused = await debit(client, wallet_id)
    assert refused.json()["error"] == "The balance is 0.00 GHS; the debit is 5.00 GHS."


async def test_another_zone_says_the_same_moment(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    first = await credit(client, wallet_id, 750, "r", expires_at="2999-01-01T01:00:00+01:00")
    assert first["expires_at"] == "2999-01-01T00:00:00Z"
    assert await credit(client, wallet_id, 750, "r", expires_at="2999-01-01T00:00:00Z") == first


async def test_lots_of_low_priority_are_burnt_first(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    await credit(client, wallet_id, 400, "last", priority=1000)
    await credit(client, wallet_id, 400, "first", priority=0)
    await debit(client, wallet_id, amount=500)
    lots = (await client.get(f"/v2/wallets/{wallet_id}")).json()["lots"]
    assert [(lot["remaining"], lot["priority"]) for lot in lots] == [(300, 1000)]


async def test_a_retry_gives_the_same_answer_and_moves_nothing(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    first = await credit(client, wallet_id, 750, "r", expires_at="2999-01-01T00:00:00Z")
    assert (await debit(client, wallet_id)).status_code == 200
    assert await credit(client, wallet_id, 750, "r", expires_at="2999-01-01T00:00:00Z") == first
    assert await balance(client, wallet_id) == 250


async def test_what_is_over_already_is_409(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    body = {"amount": 1, "description": "d", "reference": "r", "expires_at": _in(hours=-1)}
    answer = await client.post(f"/v2/wallets/{wallet_id}/credit", json=body)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "expiry_in_past"


async def test_what_no_balance_can_hold_is_409(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 1)
    body = {"amount": 2**63 - 1, "description": "d", "reference": "r"}
    answer = await client.post(f"/v2/wallets/{wallet_id}/credit", json=body)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "balance_overflow"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"description": None}, "description"),
        ({"reference": 7}, "reference"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": 1}, "expires_at"),
        ({"priority": 1001}, "priority"),
        ({"priority": -1}, "priority"),
        ({"priority": "1"}, "priority"),
    ],
)
async def test_a_bad_field_is_400_by_its_name(
    client: httpx.AsyncClient, fields: dict[str, object], field: str
) -> None:
    body = {"amount": 1, "description": "d", "reference": "r"} | fields
    answer = await client.post("/v1/wallets/wal_whatever/credit", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith(field)


async def test_a_wallet_that_never_was_is_404(client: httpx.AsyncClient) -> None:
    body = {"amount": 1, "description": "d", "reference": "r"}
    answer = await client.post("/v1/wallets/wal_nowhere/credit", json=body)
    assert answer.status_code == 404
