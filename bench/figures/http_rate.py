"""The most debits a second over HTTP with p99 under 50 ms, by one API process."""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bench.connection import connect, encode_request
from bench.errors import BenchError
from bench.figure import Figure, Measurement, at_least
from bench.http import Service, send_load, serving
from bench.load import DESCRIPTION, wallet_ids
from bench.session import Run
from bench.top_rate import Probe, TopRate, find_top_rate
from cli.stack.ports import free_port

P99_MS_MAX = 50
_FIRST_PER_S = 400
_START_S_MAX = 30
_POLL_S = 0.05

Load = Callable[..., Awaitable[dict[str, Any]]]


async def measure(run: Run) -> Measurement:
    """Ours first, then a handler that only answers, while ours idles."""
    wallets = run.sizes.http_wallets
    async with run.site("http-rate") as site, serving(site, wallets) as service:
        await service.load("--wallets", wallets, "--rate", 0, "--count", wallets, "--tag", "warm")
        ours = await _top_rate(run, service.load, "wallet api")
        async with _bare_handler(service) as load:
            ceiling = await _top_rate(run, load, "the handler alone")
    return Measurement(
        ours.best.requests_per_s,
        ceiling.best.requests_per_s,
        {
            "ours": [each._asdict() for each in ours.probes],
            "handler": [each._asdict() for each in ceiling.probes],
        },
    )


async def _top_rate(run: Run, load: Load, name: str) -> TopRate:
    numbers = itertools.count()

    async def probe(rate: float) -> Probe:
        sent = ("--rate", rate, "--seconds", run.sizes.http_seconds)
        tag = f"rate{next(numbers)}"
        results = await load(*sent, "--wallets", run.sizes.http_wallets, "--tag", tag)
        made = Probe.of(rate, results)
        run.say(
            f"{name}: {rate:,.0f}/s, p99 {made.p99_ms:.1f} ms{'' if made.all_ok else ', errors'}"
        )
        return made

    return await find_top_rate(probe, P99_MS_MAX, _FIRST_PER_S)


@asynccontextmanager
async def _bare_handler(service: Service) -> AsyncIterator[Load]:
    """Sends load to a handler that answers as ours has answered just now."""
    site, port = service.site, free_port()
    answer = await _debit(service.api.port, service.authorization)
    file = site.stack.data_dir / f"{site.name}-answer.json"
    file.write_bytes(answer)
    process = site.stack.spawn(
        f"{site.name}-bare-handler",
        [sys.executable, "-m", "bench.bare_handler", file],
        site.environment | {"WALLET_API_PORT": str(port)},
    )

    async def load(*arguments: object) -> dict[str, Any]:
        return await send_load(port, service.authorization, *arguments)

    try:
        deadline = time.monotonic() + _START_S_MAX
        while not await _answers(port, service.authorization, answer):
            if not process.running or time.monotonic() > deadline:
                raise BenchError(f"the handler does not answer: {process.log_tail(5)}")
            await asyncio.sleep(_POLL_S)
        if '"status":200' not in process.log_tail(5):
            raise BenchError(
                "the handler writes no log line, so it is no ceiling for one that does"
            )
        yield load
    finally:
        await process.stop()


async def _answers(port: int, authorization: str, answer: bytes) -> bool:
    try:
        return await _debit(port, authorization) == answer
    except OSError:
        return False


async def _debit(port: int, authorization: str) -> bytes:
    """The body of the answer to a debit; raises BenchError unless it is 200."""
    connection = await connect("127.0.0.1", port)
    try:
        body = {"amount": 100, "description": DESCRIPTION, "reference": "answer_00000000"}
        response = await connection.request(
            encode_request(
                "POST",
                f"/v1/wallets/{wallet_ids(1)[0]}/debit",
                {"Authorization": authorization, "Content-Type": "application/json"},
                msgspec.json.encode(body),
            )
        )
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"a debit was answered with {response.status}: {response.body!r}")
    return response.body


FIGURE = Figure(
    name="http-rate",
    title="HTTP debits with p99 under 50 ms, one API process",
    unit="requests/s",
    ceiling="a handler that only answers",
    ceiling_unit="requests/s",
    goal=at_least(0.3),
    measure=measure,
    expected_s=180,
)
