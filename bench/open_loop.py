"""The process that sends debits over HTTP and measures what they take.

    python -m bench.open_loop HOST PORT --rate 1000 --seconds 20 < authorization

Open-loop: each request has its time, and is sent then however late earlier answers are. What it
took is counted from that time on, so that a server that stalls is not let off by a client that
waits for it. With --rate 0 one request follows the answer of the other, on one connection.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Coroutine
from typing import Any

import msgspec
import uvloop

from bench.connection import Connection, connect, encode_request
from bench.latencies import Latencies
from bench.load import DESCRIPTION, debit_amount, wallet_ids

_CONNECTIONS_MAX = 512
_TICK_S = 0.001
"""The event loop rounds to milliseconds: with half of one it would never sleep."""
_DRAIN_S_MAX = 30


class Load:
    """Debits that take turns over the wallets, and what became of them."""

    def __init__(self, arguments: argparse.Namespace, authorization: str) -> None:
        self._host: str = arguments.host
        self._port: int = arguments.port
        self._tag: str = arguments.tag
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._wallets = wallet_ids(arguments.wallets)
        self._idle: list[Connection] = []
        self._due: deque[tuple[int, float]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._connections = 0
        self.latencies = Latencies()
        self.statuses: Counter[str] = Counter()
        self.late_s_max = 0.0

    async def connect(self, count: int) -> None:
        """Open so many connections beforehand."""
        self._idle += [await connect(self._host, self._port) for _ in range(count)]
        self._connections = count

    async def send_evenly(self, rate: float, count: int) -> float:
        """Send `count` requests at `rate` a second; seconds until the last was answered."""
        start = time.perf_counter() + 0.1
        sent = 0
        while sent < count:
            now = time.perf_counter()
            due = min(count, int((now - start) * rate) + 1)
            while sent < due:
                self._send(sent, start + sent / rate)
                sent += 1
            await asyncio.sleep(_TICK_S)
        async with asyncio.timeout(_DRAIN_S_MAX):
            await asyncio.gather(*self._running)
        return time.perf_counter() - start

    async def send_in_turn(self, count: int) -> float:
        """Send `count` requests, each after the answer to the one before."""
        start = time.perf_counter()
        (connection,) = self._idle
        for number in range(count):
            await self._exchange(connection, number, time.perf_counter())
        return time.perf_counter() - start

    def _send(self, number: int, scheduled: float) -> None:
        self.late_s_max = max(self.late_s_max, time.perf_counter() - scheduled)
        self._due.append((number, scheduled))
        if self._idle:
            self._start(self._work(self._idle.pop()))
        elif self._connections < _CONNECTIONS_MAX:
            self._connections += 1
            self._start(self._work_anew())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _work_anew(self) -> None:
        await self._work(await connect(self._host, self._port))

    async def _work(self, connection: Connection) -> None:
        """Send what is due, and what fell due meanwhile with no connection left for it."""
        while self._due:
            await self._exchange(connection, *self._due.popleft())
        self._idle.append(connection)

    async def _exchange(self, connection: Connection, number: int, scheduled: float) -> None:
        response = await connection.request(self._debit(number))
        self.latencies.record(time.perf_counter() - scheduled)
        self.statuses[str(response.status)] += 1

    def _debit(self, number: int) -> bytes:
        body = {
            "amount": debit_amount(number),
            "description": DESCRIPTION,
            "reference": f"{self._tag}_{number:08d}",
        }
        path = f"/v1/wallets/{self._wallets[number % len(self._wallets)]}/debit"
        return encode_request("POST", path, self._headers, msgspec.json.encode(body))

    def results(self, seconds: float) -> dict[str, Any]:
        """Latencies in milliseconds."""
        return {
            "requests_per_s": self.latencies.count / seconds,
            **self.latencies.median_and_tail(),
            "max_ms": self.latencies.max_ms,
            "sent_late_ms_max": 1000 * self.late_s_max,
            "connections": self._connections,
            "statuses": dict(self.statuses),
        }


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send the load, and say what was measured."""
    load = Load(arguments, sys.stdin.readline().strip())
    if arguments.rate:
        await load.connect(arguments.connections)
        count = int(arguments.rate * arguments.seconds)
        return load.results(await load.send_evenly(arguments.rate, count))
    await load.connect(1)
    return load.results(await load.send_in_turn(arguments.count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.open_loop", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=1_000, help="requests per second, or 0")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--count", type=int, default=500, help="how many, at rate 0")
    parser.add_argument("--connections", type=int, default=32, help="opened before the first")
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument("--tag", default="http", help="what references begin with")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))
