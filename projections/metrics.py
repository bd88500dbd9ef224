"""The metrics of a projector: what it takes in, how far the models are behind, what is set aside.

Labels are bounded: models, shards, reasons of the contract.
"""

import asyncio
import logging
import time
from pathlib import Path
from typing import Final, get_args

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from typing_extensions import override

from engine.settings import Settings
from engine.sql import load_queries
from projections.errors import ProjectionError
from projections.models import PROJECTIONS
from projections.observation import Observer
from projections.session import AWAY, connected
from schemas.dead_letters import DeadLetterReason

logger = logging.getLogger(__name__)

_INTERVAL_S: Final = 2.0
_LETTERS_INTERVAL_S: Final = 30.0
_LETTERS_SHARE_MAX: Final = 0.01
"""Of the time, for counting dead letters, which reads the whole table."""
_BACK_OFF_S: Final = 5.0
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_QUERIES = load_queries(Path(__file__).parent / "sql" / "lag.sql")


def letters_pause_s(took_s: float) -> float:
    """How long after the last count of dead letters began the next one does."""
    return max(_LETTERS_INTERVAL_S, took_s / _LETTERS_SHARE_MAX)


class ProjectorMetrics(Observer):
    """Counts for one projector, into `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._entries = Counter(
            "wallet_projected_entries",
            "Entries of the log taken in by a read model.",
            ["model"],
            registry=registry,
        )
        self._ranges = Histogram(
            "wallet_projection_seconds",
            "How long it took to take in a range of entries.",
            ["model"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._refusals = Counter(
            "wallet_projection_refusals",
            "Ranges of entries that the database did not take.",
            ["model"],
            registry=registry,
        )
        self._outdated = Gauge(
            "wallet_projection_outdated",
            "1: readers see a version of the model that this release does not fill.",
            ["model"],
            registry=registry,
        )
        self._lag_entries = Gauge(
            "wallet_projection_lag_entries",
            "Entries of the log that a read model lacks.",
            ["model", "shard"],
            registry=registry,
        )
        self._lag_seconds = Gauge(
            "wallet_projection_lag_seconds",
            "How old the oldest entry is that a read model lacks.",
            ["model", "shard"],
            registry=registry,
        )
        self._letters = Gauge(
            "wallet_dead_letters_open",
            "Dead letters that nobody has settled.",
            ["reason"],
            registry=registry,
        )
        for model in PROJECTIONS:
            self._entries.labels(model)
            self._ranges.labels(model)
            self._refusals.labels(model)

    @override
    def took_in(self, model: str, entries: int, seconds: float) -> None:
        self._entries.labels(model).inc(entries)
        self._ranges.labels(model).observe(seconds)

    @override
    def refused(self, model: str) -> None:
        self._refusals.labels(model).inc()

    @override
    def outdated(self, model: str, *, is_outdated: bool) -> None:
        self._outdated.labels(model).set(is_outdated)

    async def watch_lag(self, settings: Settings) -> None:
        """Look at the database now and then, until cancelled.

        While it does not answer, there is no lag to be seen, rather than an old one.
        """
        while True:
            try:
                async with connected(
                    settings.database_url,
                    "wallet-projector metrics",
                    timeout_ms=settings.database_timeout_ms,
                ) as connection:
                    await self._look(connection)
            except (*AWAY, asyncpg.PostgresError, ProjectionError) as error:
                logger.info("lag_unknown: %r; again in %.0f s", error, _BACK_OFF_S)
            self._forget()
            await asyncio.sleep(_BACK_OFF_S)

    async def _look(self, connection: asyncpg.Connection) -> None:
        letters_due = 0.0
        while True:
            if time.monotonic() >= letters_due:
                start = time.monotonic()
                await self._count_letters(connection)
                letters_due = letters_pause_s(time.monotonic() - start) + start
            for row in await connection.fetch(_QUERIES["lag"]):
                place = (row["name"], row["shard"])
                self._lag_entries.labels(*place).set(row["entries"])
                self._lag_seconds.labels(*place).set(max(0.0, row["seconds"]))
            await asyncio.sleep(_INTERVAL_S)

    async def _count_letters(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(_QUERIES["open_dead_letters"])
        counted = {row["reason"]: row["letters"] for row in rows}
        for reason in get_args(DeadLetterReason):
            self._letters.labels(reason).set(counted.get(reason, 0))

    def _forget(self) -> None:
        for gauge in (self._lag_entries, self._lag_seconds, self._letters):
            gauge.clear()
