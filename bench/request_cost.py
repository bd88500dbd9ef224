"""Measure how much processor time one request takes of the API process when it is saturated.

Processor time is counted, not the clock on the wall, so that what else the machine does matters
little. With `--beside` an API process of another checkout is started on the same stack, and both
take turns: the ratio of the two holds on a crowded machine as well. The other one has to get along
with this one's database and topics.

python -m bench.request_cost [--rounds N] [--requests N] [--connections N] [--beside CHECKOUT]
"""

import argparse
import asyncio
import itertools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import uvloop

from bench.connection import Connection, connect, encode_request
from bench.http import Api, Service, running_service
from bench.load import wallet_ids
from bench.results import write_json


class Requests:
    """Requests of each kind, no debit twice."""

    def __init__(self, authorization: str, wallets: int) -> None:
        self._headers = {"Authorization": authorization}
        self._wallets = wallet_ids(wallets)
        self._numbers = itertools.count()
        self.kinds: dict[str, tuple[int, Callable[[], bytes]]] = {
            "healthz": (200, self._healthz),
            "a wallet not found": (404, self._unknown_wallet),
            "GET wallet": (200, self._wallet),
            "debit": (200, self._debit),
        }

    def _healthz(self) -> bytes:
        return encode_request("GET", "/healthz")

    def _unknown_wallet(self) -> bytes:
        return encode_request("GET", "/v1/wallets/nothing", self._headers)

    def _wallet(self) -> bytes:
        return encode_request("GET", f"/v1/wallets/{self._next()[1]}", self._headers)

    def _debit(self) -> bytes:
        number, wallet_id = self._next()
        body = {
            "amount": 1 + number % 900,
            "description": "10 SMS messages sent",
            "reference": f"cost_{number:08d}",
        }
        headers = {**self._headers, "Content-Type": "application/json"}
        path = f"/v1/wallets/{wallet_id}/debit"
        return encode_request("POST", path, headers, msgspec.json.encode(body))

    def _next(self) -> tuple[int, str]:
        number = next(self._numbers)
        return number, self._wallets[number % len(self._wallets)]


async def send(connections: list[Connection], count: int, make: Callable[[], bytes]) -> set[int]:
    """Send `count` requests, on each connection one after the other; the statuses answered."""
    left = iter(range(count))
    statuses: set[int] = set()

    async def work(connection: Connection) -> None:
        for _ in left:
            statuses.add((await connection.request(make())).status)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(work(connection))
    return statuses


async def measure_round(
    api: Api, requests: Requests, arguments: argparse.Namespace
) -> dict[str, float]:
    """Milliseconds of processor time of a request of each kind."""
    process = psutil.Process(api.pid)
    connections = [await connect("127.0.0.1", api.port) for _ in range(arguments.connections)]
    costs = {}
    try:
        for kind, (status, make) in requests.kinds.items():
            before = _seconds(process)
            statuses = await send(connections, arguments.requests, make)
            costs[kind] = 1000 * (_seconds(process) - before) / arguments.requests
            if statuses != {status}:
                raise RuntimeError(f"{kind}: answered with {statuses}, not with {status}")
    finally:
        for connection in connections:
            connection.close()
    return costs


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Every round's costs of every kind, by the name of the process."""
    async with running_service(arguments.wallets) as service:
        apis = await _apis(service, arguments.beside)
        requests = Requests(service.authorization, arguments.wallets)
        measured: dict[str, dict[str, list[float]]] = {
            name: {kind: [] for kind in requests.kinds} for name in apis
        }
        for number in range(arguments.rounds + 1):
            for name in _turns(list(apis), number):
                round_costs = await measure_round(apis[name], requests, arguments)
                # caches fill in the first round
                for kind, cost in round_costs.items() if number else ():
                    measured[name][kind].append(cost)
        return measured


def _turns(names: list[str], number: int) -> Iterator[str]:
    """Whoever went first goes last in the next round."""
    return reversed(names) if number % 2 else iter(names)


async def _apis(service: Service, beside: Path | None) -> dict[str, Api]:
    apis = {"this": service.api}
    if beside is not None:
        apis["other"] = await service.another_api(beside)
    return apis


def _checkout(text: str) -> Path:
    return Path(text).resolve(strict=True)


def report(measured: dict[str, dict[str, list[float]]]) -> None:
    """The median round of each, as lines for people."""
    columns = [f"{name}, ms" for name in measured]
    print(f"{'processor time of a request':30}" + "".join(f"{each:>12}" for each in columns))
    for kind in measured["this"]:
        medians = {name: statistics.median(costs[kind]) for name, costs in measured.items()}
        line = f"{kind:30}" + "".join(f"{cost:>12.3f}" for cost in medians.values())
        if "other" in medians:
            line += f"   {medians['this'] / medians['other']:.2f} of the other's"
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.request_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2_000, help="of each kind in each round")
    parser.add_argument("--connections", type=int, default=64, help="kept busy all the time")
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument(
        "--beside", type=_checkout, metavar="CHECKOUT", help="compare with its API"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args()
    results = uvloop.run(measure(options))
    report(results)
    if options.json:
        write_json(options.json, options, results)
