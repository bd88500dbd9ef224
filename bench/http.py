"""Measure debits over HTTP beside the raw cost of what makes one durable, in the same run.

The embedded stack, an engine, a projector and one API process are started as users start them. A
process of its own sends debits to 1,000 funded wallets, open-loop. Raw cost is one produce that
was acknowledged (acks=all) and then one commit (a row, synchronous_commit on), one after the other
on the same stack with nothing else to do.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr

from api.access.keys import create_key
from api.install import install
from api.secret_keys import SecretKeys
from bench.connection import basic, connect, encode_request
from bench.load import fill, opening, wallet_ids
from bench.processor_time import processor_times
from bench.raw_cost import raw_cost
from bench.results import write_json
from cli.processes import service_argv
from cli.readiness import Readiness
from cli.stack import Stack
from cli.stack.ports import free_port
from engine.settings import Settings
from engine.topics import create_topics

RAW_TOPIC = "bench.raw-cost"
GOAL = 4.0
_SECRET = "a-secret-key-of-the-benchmark-alone"
_REQUESTS_PER_SECOND = 1_000_000
_SETTLE_S_MAX = 60
_START_S_MAX = 30
_PROBE_S = 0.05
"""Between two produces and commits beside the load."""


class Api(NamedTuple):
    """An API process, and the port where it listens."""

    port: int
    pid: int


class Service:
    """What was started, and a key for it that no limit stands in the way of.

    `api` is where the API listens, and its process id. `authorization` is the header's value.
    """

    def __init__(
        self, stack: Stack, settings: Settings, port: int, authorization: str, pids: dict[str, int]
    ) -> None:
        self.settings = settings
        self.authorization = authorization
        self.api = Api(port, pids["api"])
        self._stack = stack
        self._pids = pids

    async def another_api(self, checkout: Path) -> Api:
        """Start one more, of the code in another checkout."""
        port = free_port()
        env = _env(port) | {"PYTHONPATH": str(checkout)}
        process = self._stack.spawn("another-api", service_argv("api"), env)
        deadline = time.monotonic() + _START_S_MAX
        while not await _is_ready(port):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the API of {checkout} is not ready after {_START_S_MAX} s")
            await asyncio.sleep(_PROBE_S)
        return Api(port, process.pid)

    async def load(self, *arguments: object) -> dict[str, Any]:
        """Run the load process with these arguments, and give its results.

        `processor_ms` is the processor time that a request took of each process of the service.
        """
        before = processor_times(self._pids)
        results = await self._load(*arguments)
        await self.settle()
        after = processor_times(self._pids)
        requests = sum(results["statuses"].values())
        results["processor_ms"] = {
            name: 1000 * (after[name] - before[name]) / requests for name in before
        }
        return results

    async def _load(self, *arguments: object) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.open_loop", "127.0.0.1", str(self.api.port)),
            *map(str, arguments),
            stdin=PIPE,
            stdout=PIPE,
        )
        out, _ = await process.communicate(f"{self.authorization}\n".encode())
        if process.returncode:
            raise RuntimeError(f"the load process ended with status {process.returncode}")
        results: dict[str, Any] = json.loads(out)
        return results

    async def settle(self, commands_min: int = 0) -> None:
        """Wait until so many commands are decided, and published, and in the read models."""
        database = await asyncpg.connect(self.settings.database_url)
        try:
            deadline = time.monotonic() + _SETTLE_S_MAX
            while not await database.fetchval(_SETTLED, commands_min):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not settled within {_SETTLE_S_MAX} s")
                await asyncio.sleep(0.05)
        finally:
            await database.close()


_SETTLED = """
SELECT (SELECT sum(next_offset) >= $1 AND bool_and(published = position) FROM shards)
   AND NOT EXISTS (SELECT FROM live_checkpoints WHERE position < log_position)
"""


@asynccontextmanager
async def running_service(wallets: int) -> AsyncIterator[Service]:
    """Everything started on a fresh directory, with this many funded wallets."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as directory:
        async with Stack(Path(directory)) as stack:
            port = free_port()
            settings = Settings(
                database_url=stack.database_url,
                kafka_bootstrap=stack.kafka_bootstrap,
                secret_keys=SecretStr(_SECRET),
            )
            await install(settings.database_url)
            await create_topics(settings)
            await _create_raw_topic(settings)
            authorization = await _authorization(settings)
            pids = await _start(stack, settings, port)
            sent = await fill(settings, opening(wallet_ids(wallets)))
            service = Service(stack, settings, port, authorization, pids)
            await service.settle(sent)
            yield service


async def _start(stack: Stack, settings: Settings, port: int) -> dict[str, int]:
    """The process ids of the whole service, by name."""
    async with Readiness(settings.database_url, f"http://127.0.0.1:{port}") as readiness:
        names = ("engine", "projector", "api")
        started = [stack.spawn(name, service_argv(name), _env(port)) for name in names]
        await readiness.wait(started)
    processes = (*started, stack.kafka.process, stack.postgres.process)
    return {process.name: process.pid for process in processes}


async def _is_ready(port: int) -> bool:
    try:
        connection = await connect("127.0.0.1", port)
    except OSError:
        return False
    try:
        return (await connection.request(encode_request("GET", "/readyz"))).status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _env(port: int) -> dict[str, str]:
    return {
        "WALLET_API_PORT": str(port),
        "WALLET_API_DRAIN_MS": "0",
        "WALLET_SECRET_KEYS": _SECRET,
    }


async def _create_raw_topic(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(RAW_TOPIC, 1, settings.replication_factor)])
    finally:
        await admin.close()


async def _authorization(settings: Settings) -> str:
    connection = await asyncpg.connect(settings.database_url)
    try:
        await connection.execute(
            "INSERT INTO merchants (merchant_id, name, currency) VALUES ($1, $1, 'GHS')",
            "mch_bench",
        )
        key = await create_key(
            connection,
            SecretKeys.of(settings),
            "mch_bench",
            "live",
            label="bench",
            requests_per_second=_REQUESTS_PER_SECOND,
        )
        return basic(key.client_id, key.client_secret)
    finally:
        await connection.close()


async def measure(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Raw cost, one debit at a time, debits at the rate, and the raw cost again."""
    async with running_service(arguments.wallets) as service:
        given = ("--wallets", arguments.wallets)
        await service.load(*given, "--rate", 0, "--count", arguments.wallets, "--tag", "warm")
        raw = await raw_cost(service.settings, RAW_TOPIC, arguments.count)
        idle = await service.load(*given, "--rate", 0, "--count", arguments.count, "--tag", "idle")
        loaded, meanwhile = await asyncio.gather(
            service.load(
                *given, "--rate", arguments.rate, "--seconds", arguments.seconds, "--tag", "loaded"
            ),
            raw_cost(
                service.settings,
                RAW_TOPIC,
                int(arguments.seconds / _PROBE_S / 2),
                pause_s=_PROBE_S,
            ),
        )
        again = await raw_cost(service.settings, RAW_TOPIC, arguments.count)
    raw_ms = min(raw["p50_ms"], again["p50_ms"])
    for figure in (idle, loaded):
        figure["ratio"] = figure["p50_ms"] / raw_ms
    loaded["ratio_meanwhile"] = loaded["p50_ms"] / meanwhile["p50_ms"]
    return {
        "raw": raw,
        "idle": idle,
        "loaded": loaded,
        "raw again": again,
        "raw meanwhile": meanwhile,
    }


def report(results: dict[str, dict[str, Any]], rate: float) -> None:
    """The figures as lines for people."""
    raw, idle, loaded, again, meanwhile = results.values()
    print(f"{'':34}{'p50 ms':>9}{'p99 ms':>9}{'ratio of p50':>14}")
    rows = {
        "produce + commit, before": raw,
        "produce + commit, after": again,
        "produce + commit, beside the load": meanwhile,
        "debit, one at a time": idle,
        f"debit, {rate:,.0f}/s open-loop": loaded,
    }
    for name, row in rows.items():
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        print(f"{name:34}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{ratio:>14}")
    print(
        f"\nThe debits at that rate took {loaded['ratio_meanwhile']:.1f} times as long as one"
        " produce and commit beside them."
    )
    times = [f"{name} {ms:.2f}" for name, ms in loaded["processor_ms"].items()]
    print(f"\nProcessor time of a debit at that rate, in ms: {', '.join(times)}")
    for figure in (idle, loaded):
        if figure["statuses"].keys() != {"200"}:
            print(f"\nNot every debit was answered with 200: {figure['statuses']}")
    print(
        f"\n{loaded['requests_per_s']:,.0f} debits/s answered over {loaded['connections']}"
        f" connections by one API process; the goal is a ratio of at most {GOAL:.0f}."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.http", description=__doc__)
    parser.add_argument("--rate", type=float, default=1_000, help="debits per second")
    parser.add_argument("--seconds", type=float, default=20, help="how long they are sent")
    parser.add_argument("--count", type=int, default=1_000, help="of those one at a time")
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args()
    measured = asyncio.run(measure(options))
    report(measured, options.rate)
    if options.json:
        write_json(options.json, options, measured)
