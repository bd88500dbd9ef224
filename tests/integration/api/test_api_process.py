import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from api import process
from api.errors import ListenError
from api.server import serve
from engine.settings import Settings
from tests.support.history import HistoryBuilder
from tests.support.polling import poll_async
from tests.support.query_api import SECRET_KEYS, create_credentials, record
from tests.support.topics import create_topics

PROGRAM = """
import logging
from api.process import run
from engine.settings import load_settings
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
run(load_settings())
"""


class Process:
    """`api.process.run` in a process of its own."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.lines: list[str] = []
        self.url = ""

    async def until_listening(self) -> None:
        async with asyncio.timeout(20):
            while not self.url:
                line = (await self.child.stderr.readline()).decode()
                assert line, f"the process ended: {self.lines}"
                self.lines.append(line)
                if found := re.search(r"listens on (http://\S+)", line):
                    self.url = found[1]

    async def end(self, number: int | None) -> int:
        """Send the signal, and read what it still says; gives its exit status."""
        if number is not None:
            self.child.send_signal(number)
        rest = await asyncio.wait_for(self.child.stderr.read(), 20)
        self.lines += rest.decode().splitlines()
        return await self.child.wait()


@asynccontextmanager
async def api_process(database_url: str, **settings: str) -> AsyncIterator[Process]:
    environment = {
        **os.environ,
        "WALLET_DATABASE_URL": database_url,
        "WALLET_API_PORT": "0",
        "WALLET_SECRET_KEYS": SECRET_KEYS,
        **{f"WALLET_{name.upper()}": value for name, value in settings.items()},
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Process(child)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_requests_under_way_are_answered_before_it_ends(
    database_url, kafka_bootstrap, topic_names, connection, number
) -> None:
    history = HistoryBuilder().create("wal_a")
    await record(connection, history)
    auth = await create_credentials(database_url)
    await create_topics(kafka_bootstrap, topic_names)
    kafka = {"kafka_bootstrap": kafka_bootstrap, "commands_topic": topic_names.commands}
    async with (
        api_process(database_url, **kafka) as process,
        httpx.AsyncClient(timeout=20, auth=auth) as client,
    ):
        await process.until_listening()
        wallet = f"{process.url}/v1/wallets/wal_a"
        assert (await client.get(wallet)).status_code == 200
        waiting = asyncio.create_task(client.get(wallet, params={"wait_for": "0:1"}))
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        ended = asyncio.create_task(process.end(number))
        await asyncio.wait({ended}, timeout=0.5)
        assert not ended.done()
        await record(connection, history.topup("wal_a", 700))
        answer = await waiting
        assert (answer.status_code, answer.json()["balance"]) == (200, 700)
        assert await ended == 0
    log = "".join(process.lines)
    assert "Traceback" not in log
    assert "ERROR" not in log
    requests = [json.loads(line) for line in process.lines if line.startswith("{")]
    assert [request["status"] for request in requests] == [200, 200]
    assert requests[1]["request_id"] == answer.headers["x-request-id"]


async def test_it_drains_at_sigterm(database_url, connection) -> None:
    async with (
        api_process(database_url, api_drain_ms="600000") as process,
        httpx.AsyncClient(timeout=20) as client,
    ):
        await process.until_listening()
        answer = await client.get(f"{process.url}/readyz")
        assert (answer.status_code, answer.headers.get("connection")) == (200, None)

        process.child.send_signal(signal.SIGTERM)

        async def is_not_ready() -> bool:
            return (await client.get(f"{process.url}/readyz")).status_code == 503

        await poll_async(is_not_ready)
        answer = await client.get(f"{process.url}/readyz")
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        assert answer.json()["error"] == "The process is about to end: ask another one."
        for path, status in (("/healthz", 200), ("/v1/wallets", 401), ("/nothing", 404)):
            answer = await client.get(f"{process.url}{path}")
            assert (answer.status_code, answer.headers["connection"]) == (status, "close")

        assert await process.end(signal.SIGINT) == 0


async def test_it_ends_when_it_has_drained(database_url, connection) -> None:
    async with api_process(database_url, api_drain_ms="200") as process:
        await process.until_listening()
        assert await process.end(signal.SIGTERM) == 0


async def test_it_does_not_drain_at_sigint(database_url, connection) -> None:
    async with api_process(database_url, api_drain_ms="600000") as process:
        await process.until_listening()
        assert await process.end(signal.SIGINT) == 0


async def test_a_client_that_stalls_does_not_hold_the_process(database_url, connection) -> None:
    async with api_process(database_url, api_deadline_ms="300") as process:
        await process.until_listening()
        place = urlsplit(process.url)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(b"GET /healthz HT")
            assert await process.end(signal.SIGTERM) == 0
    assert any("did not end in time" in line for line in process.lines)


async def test_a_body_that_does_not_end_does_not_hold_the_process(
    database_url, connection
) -> None:
    async with api_process(database_url, api_deadline_ms="300") as process:
        await process.until_listening()
        place = urlsplit(process.url)
        with socket.create_connection((place.hostname, place.port)) as client:
            client.sendall(
                b"POST /v1/wallets HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
            )
            # it is answered, and what may come of the rest is waited for
            assert client.recv(1_000).startswith(b"HTTP/1.1 401 ")
            assert await process.end(signal.SIGTERM) == 0
    assert "Traceback" not in "".join(process.lines)


async def test_it_ends_at_once_when_told_while_it_starts(database_url) -> None:
    stop = asyncio.Event()
    stop.set()
    settings = Settings(database_url=database_url, api_port=0, secret_keys=SECRET_KEYS)
    async with asyncio.timeout(30):
        await serve(settings, stop)


async def test_a_port_that_is_taken_is_said_and_not_shared(database_url) -> None:
    async with api_process(database_url) as first:
        await first.until_listening()
        port = urlsplit(first.url).port
        settings = Settings(database_url=database_url, api_port=port, secret_keys=SECRET_KEYS)
        with pytest.raises(ListenError, match=f"port {port} .*WALLET_API_PORT"):
            await process._run(settings)
        assert await first.end(signal.SIGTERM) == 0


async def test_an_address_that_is_not_ours_is_said(database_url) -> None:
    settings = Settings(
        database_url=database_url,
        api_host="no.such.host.invalid",
        api_port=0,
        secret_keys=SECRET_KEYS,
    )
    with pytest.raises(ListenError, match=r"no\.such\.host\.invalid.*WALLET_API_HOST"):
        await process._run(settings)


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("http://127.0.0.1:8080", False),
        ("http://127.9.9.9:1", False),
        ("http://[::1]:8080", False),
        ("http://0.0.0.0:8080", True),
        ("http://[::]:8080", True),
        ("http://192.0.2.1:8080", True),
    ],
)
def test_an_address_that_others_reach_without_tls_is_warned_of(address, warned, caplog) -> None:
    process._warn_of_plain_http(address)
    assert ("plain HTTP" in caplog.text) is warned
