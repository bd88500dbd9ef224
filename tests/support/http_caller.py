"""A caller of several API processes: it sends until it is answered, as clients are told to."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

import msgspec

from bench.connection import Connection, Response, connect, encode_request

_ANSWER_S_MAX = 25
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 1.0


@dataclass(frozen=True)
class Request:
    """What is sent, over and over the same.

    `key` is its Idempotency-Key; a browser's is not `signed`.
    """

    method: str
    path: str
    body: Any = None
    key: str | None = None
    signed: bool = True

    def encoded(self, authorization: str) -> bytes:
        headers = {"Authorization": authorization} if self.signed else {}
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        if self.body is None:
            return encode_request(self.method, self.path, headers)
        headers["Content-Type"] = "application/json"
        return encode_request(self.method, self.path, headers, msgspec.json.encode(self.body))


@dataclass
class Tally:
    """What all callers together have met with."""

    requests: int = 0
    retries: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[int] = field(default_factory=Counter)
    given_up: int = 0
    under_way: Counter[tuple[int, str]] = field(default_factory=Counter, repr=False)
    """By port, and the end of the path."""

    @contextmanager
    def counting(self, port: int, path: str) -> Iterator[None]:
        """Counts a request as under way."""
        place = (port, path.rpartition("/")[2])
        self.under_way[place] += 1
        try:
            yield
        finally:
            self.under_way[place] -= 1


class Caller:
    """One client's way to the APIs, which are known by their ports."""

    def __init__(
        self, ports: Sequence[int], authorization: str, rng: Random, tally: Tally
    ) -> None:
        self.tally = tally
        self._authorization = authorization
        self._rng = rng
        self._ports = ports
        self._idle: dict[int, list[Connection]] = {port: [] for port in ports}

    async def send(
        self, request: Request, *, tries_max: int | None = None, first: int | None = None
    ) -> Response | None:
        """The answer; None if none of `tries_max` tries has had one (by default it never ends).

        The first try goes to the port `first`, each after that to another than the one before.
        """
        port = self._rng.choice(self._ports) if first is None else first
        pause_s, tries = _PAUSE_S_MIN, 0
        self.tally.requests += 1
        while True:
            response = await self._try(port, request)
            if response is not None:
                return response
            tries += 1
            if tries == tries_max:
                self.tally.given_up += 1
                return None
            self.tally.retries += 1
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1))
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)
            port = self._other(port)

    async def answer(self, request: Request) -> Response:
        """The answer, however long it takes to have one."""
        response = await self.send(request)
        assert response is not None
        return response

    async def twice(self, request: Request) -> Response:
        """Send it to two of them at the same time: both have to say the same."""
        port = self._rng.choice(self._ports)
        one, other = await asyncio.gather(
            self.send(request, first=port), self.send(request, first=self._other(port))
        )
        assert one is not None
        assert other is not None
        assert_same(request, one, other)
        return one

    async def hang_up(self, request: Request) -> None:
        """Send it, and be gone before the answer comes."""
        port = self._rng.choice(self._ports)
        try:
            connection = await self._connection(port)
        except OSError:
            return
        answer = connection.request(request.encoded(self._authorization))
        await asyncio.sleep(self._rng.uniform(0, 0.01))
        connection.close()
        try:
            await answer
        except OSError:
            return

    def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()

    async def _try(self, port: int, request: Request) -> Response | None:
        try:
            connection = await self._connection(port)
            async with asyncio.timeout(_ANSWER_S_MAX):
                with self.tally.counting(port, request.path):
                    response = await connection.request(request.encoded(self._authorization))
        except TimeoutError:
            raise AssertionError(f"no answer within {_ANSWER_S_MAX} s to {request}") from None
        except OSError:
            self.tally.broken[port] += 1
            return None
        self._idle[port].append(connection)
        self.tally.statuses[response.status] += 1
        assert response.status != 500, f"{request}: {response}"
        if response.status > 500 or response.status == HTTPStatus.TOO_MANY_REQUESTS:
            # a page for people has its own way to say when
            assert not request.signed or response.header("retry-after"), f"{request}: {response}"
            return None
        return response

    async def _connection(self, port: int) -> Connection:
        while self._idle[port]:
            connection = self._idle[port].pop()
            if connection.usable:
                return connection
        return await connect("127.0.0.1", port)

    def _other(self, port: int) -> int:
        return self._rng.choice([each for each in self._ports if each != port] or [port])


def assert_same(request: Request, one: Response, other: Response) -> None:
    """Two answers to the same request."""
    assert (one.status, json(one)) == (other.status, json(other)), f"{request}:\n{one}\n{other}"


def json(response: Response) -> Any:
    return msgspec.json.decode(response.body)
