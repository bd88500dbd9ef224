"""POST /wallets/:id/freeze, /unfreeze and /close, as the reference has them."""

import httpx
import pytest

from tests.support.money_calls import credit, debit, entries_of, open_wallet
from tests.support.wallet_service import WalletService


async def _post(
    client: httpx.AsyncClient, wallet_id: str, action: str, version: str = "v1"
) -> httpx.Response:
    return await client.post(f"/{version}/wallets/{wallet_id}/{action}")


async def test_freezing_blocks_debits_and_takes_money(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    before = (await client.get(f"/v1/wallets/{wallet_id}")).json()
    answer = await _post(client, wallet_id, "freeze")
    assert answer.status_code == 200
    assert answer.json() == before | {"status": "frozen"}
    refused = await debit(client, wallet_id)
    assert refused.status_code == 409
    assert refused.json() == {
        "success": False,
        "error": "The wallet is frozen; unfreeze it before debiting.",
    }
    assert (await credit(client, wallet_id, 1, "while frozen"))["balance_after"] == 15001


async def test_unfreezing_allows_debits_again(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    before = (await client.get(f"/v1/wallets/{wallet_id}")).json()
    await _post(client, wallet_id, "freeze")
    answer = await _post(client, wallet_id, "unfreeze")
    assert (answer.status_code, answer.json()) == (200, before)
    assert (await debit(client, wallet_id)).status_code == 200


async def test_closing_is_for_ever_and_writes_off_what_is_left(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client, 15000)
    answer = await _post(client, wallet_id, "close")
    assert answer.status_code == 200
    closed = answer.json()
    assert (closed["status"], closed["balance"], closed["balance_formatted"]) == (
        "closed",
        0,
        "GH₵0.00",
    )
    listed = (await client.get(f"/v1/wallets/{wallet_id}/transactions")).json()["data"]
    assert [(each["type"], each["amount"]) for each in listed] == [
        ("write_off", 15000),
        ("credit", 15000),
    ]
    for action in ("freeze", "unfreeze", "close"):
        refused = await _post(client, wallet_id, action, "v2")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "wallet_closed"
    assert (await debit(client, wallet_id)).status_code == 409


async def test_a_frozen_wallet_can_be_closed(client: httpx.AsyncClient) -> None:
    wallet_id = await open_wallet(client)
    await _post(client, wallet_id, "freeze")
    assert (await _post(client, wallet_id, "close")).json()["status"] == "closed"


@pytest.mark.parametrize(
    ("actions", "code"),
    [(("freeze", "freeze"), "already_frozen"), (("unfreeze",), "not_frozen")],
)
async def test_what_changes_nothing_is_409(
    client: httpx.AsyncClient, actions: tuple[str, ...], code: str
) -> None:
    wallet_id = await open_wallet(client)
    *before, last = actions
    for action in before:
        assert (await _post(client, wallet_id, action)).status_code == 200
    answer = await _post(client, wallet_id, last, "v2")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
async def test_no_body_is_needed(client: httpx.AsyncClient, body: bytes) -> None:
    wallet_id = await open_wallet(client)
    answer = await client.post(f"/v2/wallets/{wallet_id}/freeze", content=body)
    assert answer.status_code == 200


async def test_a_frozen_wallet_can_be_frozen_anew_after_it_was_unfrozen(
    client: httpx.AsyncClient, service: WalletService
) -> None:
    wallet_id = await open_wallet(client)
    for action in ("freeze", "unfreeze", "freeze", "unfreeze"):
        assert (await _post(client, wallet_id, action)).status_code == 200
    assert await entries_of(service.settings.database_url, wallet_id) == [
        "wallet_created",
        "frozen",
        "unfrozen",
        "frozen",
        "unfrozen",
    ]


@pytest.mark.parametrize("action", ["freeze", "unfreeze", "close"])
async def test_a_wallet_that_never_was_is_404(client: httpx.AsyncClient, action: str) -> None:
    answer = await _post(client, "wal_nowhere", action)
    assert answer.status_code == 404
    assert answer.json() == {
        "success": False,
        "error": "The requested wallet resource 'wal_nowhere' was not found.",
    }
