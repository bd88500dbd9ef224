"""The whole process at its most talkative: no secret is in anything it writes."""

import asyncio
import base64
import os
import re
import signal
import sys

import httpx
import pytest

from tests.support.query_api import SECRET_KEYS, create_credentials

PROGRAM = """
import logging
from api.process import run
from engine.settings import load_settings
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
run(load_settings())
"""
WRONG_SECRET = "badc0ffee" * 7 + "b"
MALFORMED = "not-base64-but-secret!"
TOKEN = "tok0secret0of0a0checkout"
QUERY = "query-secret"


def encoded(*parts: str) -> str:
    return base64.b64encode(":".join(parts).encode()).decode()


def headers_of(client_id: str, secret: str) -> list[dict[str, str]]:
    """Good, wrong and malformed."""
    return [
        {"Authorization": f"Basic {encoded(client_id, secret)}"},
        {"Authorization": f"Bearer {encoded(client_id, secret)}"},
        {"Authorization": f"Basic {encoded(client_id, WRONG_SECRET)}"},
        {"Authorization": f"Basic {encoded('0' * 12, WRONG_SECRET)}"},
        {"Authorization": f"Basic {encoded(WRONG_SECRET, client_id)}"},
        {"Authorization": f"Basic {MALFORMED}"},
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"{secret}"},
        {"Authorization": f"Basic {encoded(secret)}"},
        {"Authorization": f"Digest {encoded(client_id, secret)}"},
        {"X-Authorization": f"Basic {encoded(client_id, secret)}", "Cookie": MALFORMED},
    ]


async def everything_said(database_url: str, kafka: str, credentials: tuple[str, str]) -> str:
    """All that a process writes while it gets every kind of request with these credentials."""
    environment = {
        **os.environ,
        "WALLET_DATABASE_URL": database_url,
        "WALLET_KAFKA_BOOTSTRAP": kafka,
        "WALLET_API_PORT": "0",
        "WALLET_API_DEADLINE_MS": "1500",
        "WALLET_SECRET_KEYS": SECRET_KEYS,
        "WALLET_LOG_LEVEL": "DEBUG",
        "PYTHONASYNCIODEBUG": "1",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert child.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r"listens on (http://\S+)", said[-1] if said else "")):
                said.append((await child.stdout.readline()).decode())
                assert said[-1], said
            reading = asyncio.create_task(child.stdout.read())
            await ask_everything(found[1], headers_of(*credentials))
            child.send_signal(signal.SIGTERM)
            said.append((await reading).decode())
            assert await child.wait() == 0
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return "".join(said)


async def ask_everything(url: str, headers: list[dict[str, str]]) -> None:
    body = {"amount": 1, "description": "x", "reference": "r"}
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for each in headers:
            for version in ("v1", "v2"):
                await client.get(f"/{version}/wallets?token={QUERY}", headers=each)
                await client.get(f"/{version}/nowhere", headers=each)
                await client.put(f"/{version}/wallets", headers=each)
                await client.post(f"/{version}/wallets/wal_a/debit", content=b"[", headers=each)
        # nobody decides this command, so its outcome stays unknown
        await client.post("/v1/wallets/wal_a/debit", json=body, headers=headers[0])
        for path in (f"/checkout/{TOKEN}", f"/checkout/{TOKEN}/", f"/v2/checkout/{TOKEN}"):
            await client.get(path)
        for action in ("pay", "cancel"):
            await client.post(f"/checkout/{TOKEN}/{action}")


@pytest.mark.timeout(120)
async def test_no_secret_is_in_what_a_process_writes(database, kafka_bootstrap) -> None:
    credentials = await create_credentials(database)
    said = await everything_said(database, kafka_bootstrap, credentials)
    client_id, secret = credentials
    assert client_id in said, "the process does not log its requests"
    assert "DEBUG" in said, "the process does not say all that it could"
    hidden = [secret, WRONG_SECRET, MALFORMED, TOKEN, QUERY, SECRET_KEYS]
    hidden += [
        value.rpartition(" ")[2] for each in headers_of(*credentials) for value in each.values()
    ]
    for each in hidden:
        # a part of it would be too much
        assert each[:16] not in said
        assert each[-16:] not in said
    assert "authorization" not in said.lower()
