"""The metrics of an API: its requests, the commands that it carried, its connections.

Labels are bounded: routes are templates, methods those of HTTP, statuses those that are answered.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, get_args

import asyncpg
from litestar.enums import HttpMethod
from litestar.types import HTTPScope
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from api.errors import CommandSetAsideError, OutcomeUnknownError
from api.telemetry.routes import route_of

Carried = Literal["accepted", "rejected", "set_aside", "unknown", "failed"]

_METHODS: Final = frozenset(method.value for method in HttpMethod)
_NO_ANSWER: Final = "none"
_BUCKETS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class ApiMetrics:
    """Counts for one API, into `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "wallet_http_requests",
            "Requests by what they were answered with.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "wallet_http_request_seconds",
            "How long requests took.",
            ["route", "method"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._under_way = Gauge(
            "wallet_http_requests_under_way", "Requests without an answer yet.", registry=registry
        )
        self._commands = Histogram(
            "wallet_command_seconds",
            "From sending a command to its outcome.",
            ["outcome"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._connections = Gauge(
            "wallet_database_connections",
            "Connections of requests to the database.",
            ["pool", "state"],
            registry=registry,
        )
        for outcome in get_args(Carried):
            self._commands.labels(outcome)

    def request(self, scope: HTTPScope) -> Callable[[int | None, float], None]:
        """Count a request once it is answered."""
        self._under_way.inc()

        def answered(status: int | None, seconds: float) -> None:
            self._under_way.dec()
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = route_of(scope)
            self._seconds.labels(route, method).observe(seconds)
            self._requests.labels(route, method, str(status or _NO_ANSWER)).inc()

        return answered

    @contextmanager
    def carrying(self) -> Iterator[Callable[[Carried], None]]:
        """Time a command, whose outcome is told if it has one."""
        start = time.perf_counter()
        outcome: Carried = "failed"

        def carried(as_what: Carried) -> None:
            nonlocal outcome
            outcome = as_what

        try:
            yield carried
        except OutcomeUnknownError:
            outcome = "unknown"
            raise
        except CommandSetAsideError:
            outcome = "set_aside"
            raise
        finally:
            self._commands.labels(outcome).observe(time.perf_counter() - start)

    def pool(self, name: str, pool: asyncpg.Pool) -> None:
        """Tell how many connections of the pool there are, and how many wait for work."""
        self._connections.labels(name, "open").set_function(pool.get_size)
        self._connections.labels(name, "idle").set_function(pool.get_idle_size)
