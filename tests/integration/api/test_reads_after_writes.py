"""The whole service: what a caller has written is in what it reads next, through any process."""

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from projections import follower
from tests.support.query_api import running_api
from tests.support.wallet_service import SANDBOX, WalletService

ROUNDS = 15


@pytest_asyncio.fixture(scope="module")
async def processes(service: WalletService) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of two API servers on the same database and topics."""
    own = service.settings.model_dump()
    async with running_api(own.pop("database_url"), owner=SANDBOX, **own) as other:
        yield [service.client, other]


async def post(client: httpx.AsyncClient, path: str, **body) -> dict:
    answer = await client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def wallet_of(client: httpx.AsyncClient, email: str) -> str:
    customer = await post(client, "/v1/customers", email=email)
    wallet = await post(client, "/v1/wallets", customer_id=customer["id"], currency="GHS")
    return wallet["id"]


async def test_every_read_shows_the_write_before_it(processes) -> None:
    writer, reader = processes
    wallet_id = await wallet_of(writer, "ama@example.com")
    assert (await reader.get(f"/v1/wallets/{wallet_id}")).json()["balance"] == 0
    turns = itertools.cycle([(writer, reader), (reader, writer), (writer, writer)])
    for number, (writes, reads) in zip(range(1, ROUNDS + 1), turns, strict=False):
        credit = {"amount": 100, "description": "promo", "reference": f"promo_{number}"}
        moved = await post(writes, f"/v1/wallets/{wallet_id}/credit", **credit)
        assert moved["balance_after"] == 100 * number
        read = [
            await reads.get(f"/v2/wallets/{wallet_id}"),
            await reads.get(f"/v2/wallets/{wallet_id}/transactions"),
            await reads.get("/v2/wallets"),
        ]
        wallet, transactions, wallets = (answer.json() for answer in read)
        assert wallet["balance"] == 100 * number
        assert sum(lot["remaining"] for lot in wallet["lots"]) == 100 * number
        assert transactions["data"][0]["id"] == moved["id"]
        (listed,) = (each for each in wallets["data"] if each["id"] == wallet_id)
        assert listed["balance"] == 100 * number


async def test_a_new_wallet_is_there_at_once(processes) -> None:
    writer, reader = processes
    for number in range(ROUNDS):
        wallet_id = await wallet_of(writer, f"kofi{number}@example.com")
        assert (await reader.get(f"/v1/wallets/{wallet_id}")).json()["id"] == wallet_id
        listed = (await reader.get("/v1/wallets", params={"limit": 1})).json()["data"]
        assert [each["id"] for each in listed] == [wallet_id]
        transactions = await reader.get(f"/v1/wallets/{wallet_id}/transactions")
        assert transactions.json() == {"data": [], "has_more": False}


async def test_a_projector_that_rests_is_hurried_by_a_reader(processes, monkeypatch) -> None:
    writer, reader = processes
    wallet_id = await wallet_of(writer, "esi@example.com")
    # twice as long as any request may take: only a hurried projector shows the second credit
    monkeypatch.setattr(follower, "_REST_S", 20.0)
    for number in (1, 2, 3):
        credit = {"amount": 100, "description": "promo", "reference": f"rest_{number}"}
        await post(writer, f"/v1/wallets/{wallet_id}/credit", **credit)
        answer = await reader.get(f"/v1/wallets/{wallet_id}")
        assert answer.json()["balance"] == 100 * number
