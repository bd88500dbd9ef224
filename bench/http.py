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

from api.access.keys import create_key
from api.secret_keys import SecretKeys
from bench.connection import basic, connect, encode_request
from bench.errors import BenchError
from bench.load import opening, wallet_ids
from bench.processor_time import processor_times
from bench.raw_cost import raw_cost
from bench.results import write_json
from bench.site import Site
from bench.site import site as new_site
from cli.readiness import Readiness
from cli.stack import ManagedProcess, Stack
from cli.stack.ports import free_port
from engine.settings import Settings

RAW_TOPIC = "bench.raw-cost"
GOAL = 4.0
_REQUESTS_PER_SECOND = 1_000_000
_START_S_MAX = 30
_PROBE_S = 0.05
"""Between two produces and commits beside the load."""


class Api(NamedTuple):
    """An API process, and the port where it listens."""

    port: int
    pid: int


class Service:
    """Engine, projector and API on a site, and a key for it that no limit stands in the way of.

    `api` is where the API listens, and its process id. `authorization` is the header's value.
    """

    def __init__(self, site: Site, api: Api, authorization: str, pids: dict[str, int]) -> None:
        self.site = site
        self.settings = site.settings
        self.authorization = authorization
        self.api = api
        self._pids = pids

    async def another_api(self, checkout: Path) -> Api:
        """Start one more, of the code in another checkout."""
        port = free_port()
        env = _env(port) | {"PYTHONPATH": str(checkout)}
        process = self.site.spawn("api", env)
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
        results = await send_load(self.api.port, self.authorization, *arguments)
        await self.site.settle()
        after = processor_times(self._pids)
        requests = sum(results["statuses"].values())
        results["processor_ms"] = {
            name: 1000 * (after[name] - before[name]) / requests for name in before
        }
        return results


async def send_load(port: int, authorization: str, *arguments: object) -> dict[str, Any]:
    """Run a process that sends debits to this port, and give its results."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.open_loop", "127.0.0.1", str(port)),
        *map(str, arguments),
        stdin=PIPE,
        stdout=PIPE,
    )
    out, _ = await process.communicate(f"{authorization}\n".encode())
    if process.returncode:
        raise BenchError(f"the load process ended with status {process.returncode}")
    results: dict[str, Any] = json.loads(out)
    return results


@asynccontextmanager
async def running_service(wallets: int) -> AsyncIterator[Service]:
    """Everything started on a stack of its own, with this many funded wallets."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as directory:
        async with (
            Stack(Path(directory)) as stack,
            new_site(stack, "http") as site,
            serving(site, wallets) as service,
        ):
            yield service


@asynccontextmanager
async def serving(site: Site, wallets: int) -> AsyncIterator[Service]:
    """The service on a new site, with this many funded wallets, until the block ends."""
    await _create_raw_topic(site.settings)
    authorization = await _authorization(site.settings)
    port = free_port()
    async with (
        Readiness(site.settings.database_url, f"http://127.0.0.1:{port}") as readiness,
        site.running("engine", "projector", "api", env=_env(port)) as started,
    ):
        await readiness.wait(started)
        await site.fill(opening(wallet_ids(wallets)))
        await site.settle()
        yield Service(site, Api(port, started[-1].pid), authorization, _pids(site, started))


def _pids(site: Site, started: list[ManagedProcess]) -> dict[str, int]:
    """The process ids of the whole service, by name."""
    servers = {"kafka": site.stack.kafka.process.pid, "postgres": site.stack.postgres.process.pid}
    names = ("engine", "projector", "api")
    return dict(zip(names, (process.pid for process in started), strict=True)) | servers


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
    return {"WALLET_API_PORT": str(port), "WALLET_API_DRAIN_MS": "0"}


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
