"""A refusal is an answer: under an Idempotency-Key it is given again, and the key is used up."""

import secrets

import httpx
import pytest

from tests.support.money_calls import DEBIT, balance, open_wallet
from tests.support.raw_http import RawApi
from tests.support.wallet_service import SANDBOX, WalletService

REPLAYED = "idempotency-replayed"
TOO_LARGE = b'{"description":"' + b"x" * 70_000 + b'"}'


def _key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


async def _refused_twice(
    client: httpx.AsyncClient, path: str, body: bytes, key: dict[str, str]
) -> httpx.Response:
    first = await client.post(path, content=body, headers=key)
    again = await client.post(path, content=body, headers=key)
    assert 400 <= first.status_code < 500
    assert REPLAYED not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers[REPLAYED] == "true"
    return first


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"amount":0,"description":"10 SMS messages sent","reference":"sms_batch_8821"}',
        # those who take the last one would read a good body in it
        b'{"amount":0,"amount":500,"description":"10 SMS messages sent","reference":"r"}',
    ],
)
async def test_a_bad_body_uses_the_key_up(
    client: httpx.AsyncClient, version: str, body: bytes
) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/{version}/wallets/{wallet_id}/debit"
    assert (await _refused_twice(client, path, body, key)).status_code == 400
    for good in (DEBIT, DEBIT | {"reference": "r"}):
        other = await client.post(path, json=good, headers=key)
        assert other.status_code == 409
        assert "Idempotency-Key" in other.text
    assert (await client.post(path, json=DEBIT, headers=_key())).status_code == 200
    assert await balance(client, wallet_id) == 14500


async def test_no_body_and_an_empty_object_are_two_requests_where_a_body_is_needed(
    client: httpx.AsyncClient,
) -> None:
    wallet_id, key = await open_wallet(client), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    await _refused_twice(client, path, b"", key)
    assert (await client.post(path, content=b"{}", headers=key)).status_code == 409
    # and one where none is
    path, key = f"/v1/wallets/{wallet_id}/freeze", _key()
    frozen = await client.post(path, headers=key)
    again = await client.post(path, content=b"{}", headers=key)
    assert (again.status_code, again.content) == (200, frozen.content)


async def test_a_bad_body_after_a_good_one_is_another_body(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v2/wallets/{wallet_id}/debit"
    assert (await client.post(path, json=DEBIT, headers=key)).status_code == 200
    for body in (b"{", b"{}", TOO_LARGE):
        answer = await client.post(path, content=body, headers=key)
        assert answer.json()["error"]["code"] == "idempotency_conflict"


async def test_an_unknown_parameter_uses_the_key_up(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v2/wallets/{wallet_id}/freeze"
    assert (await _refused_twice(client, f"{path}?x=1", b"", key)).status_code == 400
    assert (await client.post(path, headers=key)).status_code == 409


async def test_an_id_that_is_none_uses_the_key_up(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client), _key()
    assert (await _refused_twice(client, "/v1/wallets/x/freeze", b"", key)).status_code == 404
    assert (await client.post(f"/v1/wallets/{wallet_id}/freeze", headers=key)).status_code == 409


async def test_a_body_that_is_too_large_uses_the_key_up(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    assert (await _refused_twice(client, path, TOO_LARGE, key)).status_code == 413
    assert (await client.post(path, json=DEBIT, headers=key)).status_code == 409
    assert await balance(client, wallet_id) == 15000


async def test_who_was_not_let_in_has_used_no_key_up(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    other = DEBIT | {"amount": 1}
    wrong = httpx.BasicAuth("0" * 12, "0" * 64)
    assert (await client.post(path, json=other, headers=key, auth=wrong)).status_code == 401
    async with service.calling_as(SANDBOX, scopes=["credits:read"]) as reader:
        assert (await reader.post(path, json=other, headers=key)).status_code == 403
    async with service.calling_as(SANDBOX, requests_per_second=1) as hurried:
        statuses = [(await hurried.post("/v1/wallets/wal_1/freeze")).status_code for _ in range(5)]
        limited = await hurried.post(path, json=other, headers=key)
        assert 429 in statuses
        assert limited.status_code == 429
    assert (await client.post(path, json=DEBIT, headers=key)).status_code == 200
    assert await balance(client, wallet_id) == 14500


async def test_what_never_arrived_whole_has_used_no_key_up(client: httpx.AsyncClient) -> None:
    wallet_id, key = await open_wallet(client, 15000), _key()
    path = f"/v1/wallets/{wallet_id}/debit"
    header = f"Idempotency-Key: {key['Idempotency-Key']}".encode()
    broken = await RawApi(client).ask(
        f"POST {path}".encode(), header, b"Transfer-Encoding: chunked", body=b"zz\r\n"
    )
    assert broken is not None
    assert broken.status == 400
    assert (await client.post(path, json=DEBIT, headers=key)).status_code == 200
