"""Page 000: who gets in, and word for word what the others are told."""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.access.keys import revoke_key
from schemas.ids import Owner
from tests.support.history import HistoryBuilder
from tests.support.query_api import create_credentials, record, running_api

MALFORMED = "Invalid Token Format. Expected base64(clientId:clientSecret)."
INVALID = "Invalid API Token or Token Expired"
OWNER = Owner("mch_1", "live")
SECRET = "5" * 64


def token(text: str | bytes) -> str:
    return b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest_asyncio.fixture
async def client(database_url, kafka_bootstrap, connection) -> AsyncIterator[httpx.AsyncClient]:
    async with running_api(database_url, kafka_bootstrap=kafka_bootstrap) as client:
        client.auth = None
        yield client


async def ask(client: httpx.AsyncClient, authorization: str | None, version: str = "v1") -> Any:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.get(f"/{version}/wallets", headers=headers)


def refused(answer: httpx.Response, sentence: str) -> None:
    assert (answer.status_code, answer.json()) == (401, {"success": False, "message": sentence})
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "basic", "BEARER"])
async def test_both_schemes_take_the_same_token(client, connection, database_url, scheme) -> None:
    await record(connection, HistoryBuilder().create("wal_a"))
    key = await create_credentials(database_url, OWNER)
    answer = await ask(client, f"{scheme} {token(':'.join(key))}")
    assert answer.status_code == 200
    assert [wallet["id"] for wallet in answer.json()["data"]] == ["wal_a"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Digest " + token(f"{'1' * 12}:{SECRET}"),
        f"Basic {'1' * 12}:{SECRET}",
        "Basic " + token("no colon"),
        "Basic " + token(f":{SECRET}"),
        "Basic " + token("111111111111:"),
        "Basic " + token(b"\xff\xfe:" + SECRET.encode()),
        "Basic " + token("1:22").rstrip("="),
        "Basic " + token("1" * 3_000 + ":1"),
        token(f"{'1' * 12}:{SECRET}"),
    ],
)
async def test_a_header_that_is_missing_or_malformed(client, authorization) -> None:
    refused(await ask(client, authorization), MALFORMED)


@pytest.mark.parametrize(
    "credentials",
    [
        f"{'1' * 12}:{SECRET}",
        f"nobody:{SECRET}",
        f"\0:{SECRET}",
        f"{'1' * 12}:ünknown",
        "1:1",
    ],
)
async def test_credentials_that_nobody_has(client, credentials) -> None:
    refused(await ask(client, f"Basic {token(credentials)}"), INVALID)


async def test_credentials_that_are_wrong_or_over(client, connection, database_url) -> None:
    good, other, revoked = [await create_credentials(database_url, OWNER) for _ in range(3)]
    expired = await create_credentials(
        database_url, OWNER, expires_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    assert await revoke_key(connection, revoked[0])
    wrong = [
        (good[0], other[1]),
        (good[0], good[1][:-1]),
        (good[0], good[1].upper() + " "),
        (good[0].upper() + "x", good[1]),
        revoked,
        expired,
    ]
    for client_id, secret in wrong:
        refused(await ask(client, f"Basic {token(f'{client_id}:{secret}')}"), INVALID)
    assert (await ask(client, f"Basic {token(':'.join(good))}")).status_code == 200


async def test_version_2_says_the_same_with_a_code(client) -> None:
    told = {
        None: ("token_malformed", MALFORMED),
        f"Basic {token('1:1')}": ("token_invalid", INVALID),
    }
    for authorization, (code, sentence) in told.items():
        answer = await ask(client, authorization, "v2")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["message"]) == (401, code, sentence)
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


async def test_a_key_without_the_scope_is_told_which(client, database_url) -> None:
    key = await create_credentials(database_url, OWNER, scopes=["payments:read", "credits:write"])
    answer = await ask(client, f"Basic {token(':'.join(key))}")
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "success": False,
            "error": "Forbidden. This API key lacks the 'credits:read' scope required to perform"
            " this action.",
        },
    )


async def test_neither_secret_nor_header_reaches_the_log(client, database_url, caplog) -> None:
    caplog.set_level("DEBUG")
    client_id, secret = await create_credentials(database_url, OWNER)
    header = token(f"{client_id}:{secret}")
    assert (await ask(client, f"Basic {header}")).status_code == 200
    assert (await ask(client, f"Basic {token(f'{client_id}:{secret[:-1]}')}")).status_code == 401
    assert "/v1/wallets" in caplog.text
    assert secret[:-1] not in caplog.text
    assert header[:60] not in caplog.text
