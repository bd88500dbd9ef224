"""Metrics and traces are off unless asked for, and cost nothing then."""

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from api.access.addresses import TrustedProxies
from api.observation import NOBODY as NOBODY_OF_API
from api.observing import observing as observing_api
from engine.observation import NOBODY as NOBODY_OF_ENGINE
from engine.observing import observing as observing_engine
from engine.settings import Settings
from engine.telemetry.event_loop import watch_event_loop
from engine.telemetry.exposition import MetricsPortError, exposed, new_registry
from engine.telemetry.switches import metrics_if_on
from projections.observation import NOBODY as NOBODY_OF_PROJECTOR
from projections.observing import observing as observing_projector
from tests.support.polling import poll
from tests.support.scrapes import Scrape, parsed, scrape_of

ROOT = Path(__file__).parents[2]
OFF = Settings()

_IMPORTED = """
import sys
import api.process, engine.process, projections.process
print(*sorted(sys.modules))
"""


def test_both_are_off_by_default_and_on_this_machine_alone() -> None:
    assert (OFF.metrics_port, OFF.traces) == (None, False)
    assert OFF.metrics_host == "127.0.0.1"


def test_what_is_off_is_not_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert {"aiokafka", "litestar", "asyncpg"} <= imported
    # FastStream looks whether opentelemetry.semconv, which is next to nothing, is there
    costly = {"prometheus_client", "opentelemetry.sdk", "opentelemetry.trace", "requests"}
    assert not costly & imported


async def test_nobody_watches_what_is_off() -> None:
    async with observing_engine(OFF, 4) as observer:
        assert observer is NOBODY_OF_ENGINE
    async with observing_projector(OFF) as observer:
        assert observer is NOBODY_OF_PROJECTOR
    async with observing_api(OFF, TrustedProxies.of(OFF)) as observer:
        assert observer is NOBODY_OF_API


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _fetch(port: int) -> Scrape:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return Scrape(tuple(parsed(answer.read().decode())))


async def test_metrics_are_served_until_the_end() -> None:
    port = _free_port()
    async with metrics_if_on(Settings(metrics_port=port)) as registry:
        assert registry is not None
        scrape = await asyncio.to_thread(_fetch, port)
        assert {"wallet_build_info", "process_open_fds", "python_gc_collections_total"} <= (
            scrape.names
        )
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(_fetch, port)


async def test_a_loop_that_is_stuck_is_seen_from_outside() -> None:
    port = _free_port()
    async with metrics_if_on(Settings(metrics_port=port)):
        # nothing runs on the loop meanwhile
        assert _fetch(port).names


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(MetricsPortError, match=r"WALLET_METRICS_PORT of its own"),
            exposed(new_registry(), "127.0.0.1", port),
        ):
            pass


async def test_the_loop_is_late_by_what_blocks_it() -> None:
    registry = CollectorRegistry()
    watching = asyncio.create_task(watch_event_loop(registry))

    def count(at_most: str) -> float:
        return scrape_of(registry).value("wallet_event_loop_lag_seconds_bucket", le=at_most)

    try:
        await poll(lambda: count("+Inf") >= 2)
        before = count("+Inf") - count("0.25")
        time.sleep(0.6)  # noqa: ASYNC251
        await poll(lambda: count("+Inf") - count("0.25") > before)
    finally:
        watching.cancel()
        await asyncio.wait({watching})
