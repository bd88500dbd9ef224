"""What a projector tells of how far the models are, and of what the database refuses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from engine.settings import Settings
from projections.metrics import ProjectorMetrics, letters_pause_s
from projections.models import PROJECTIONS
from projections.process import keep_up
from tests.support.history import HistoryBuilder
from tests.support.polling import poll
from tests.support.read_models import catch_up
from tests.support.scrapes import scrape_of
from tests.support.silent_network import SilentNetwork


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ProjectorMetrics:
    return ProjectorMetrics(registry)


@asynccontextmanager
async def watching(metrics: ProjectorMetrics, **settings) -> AsyncIterator[None]:
    task = asyncio.create_task(metrics.watch_lag(Settings(**settings)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def projecting(url: str, metrics: ProjectorMetrics) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(keep_up(Settings(database_url=url), stop, metrics))
    try:
        yield
    finally:
        stop.set()
        await task


def value(registry: CollectorRegistry, name: str, **labels) -> Callable[[], float]:
    return lambda: scrape_of(registry).value(name, **labels)


async def test_models_that_stand_still_are_behind_by_entries_and_by_time(
    url, connection, registry, metrics
):
    history = HistoryBuilder(3).create("wal_a").topup("wal_a", 5)
    await history.write(connection)
    age_s = await connection.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - min(occurred_at))::float8 FROM log"
    )
    async with watching(metrics, database_url=url):
        for model in PROJECTIONS:
            await poll(value(registry, "wallet_projection_lag_entries", model=model, shard=3))
        scrape = scrape_of(registry)
        assert scrape.value("wallet_projection_lag_entries", model="lots", shard=3) == 2
        assert scrape.value("wallet_projection_lag_seconds", model="lots", shard=3) >= age_s > 1
        await catch_up(connection)
        await poll(lambda: not value(registry, "wallet_projection_lag_entries")())
        assert value(registry, "wallet_projection_lag_seconds")() == 0
        series = scrape_of(registry).labels_of("wallet_projection_lag_entries")
        assert {labels["model"] for labels in series} == PROJECTIONS.keys()


async def test_a_database_that_does_not_answer_leaves_no_old_lag(
    url, connection, registry, metrics
):
    def is_known() -> bool:
        return "wallet_projection_lag_entries" in scrape_of(registry).names

    await HistoryBuilder().create("wal_a").write(connection)
    async with (
        SilentNetwork(url).running() as network,
        watching(metrics, database_url=network.url, database_timeout_ms=300),
    ):
        await poll(is_known)
        network.fall_silent()
        await poll(lambda: not is_known())
        network.recover()
        await poll(is_known)


async def test_open_dead_letters_are_counted_by_reason(url, connection, registry, metrics):
    await connection.execute(
        'INSERT INTO dead_letters (shard, "offset", reason, detail, occurred_at, status)'
        " SELECT 0, n, CASE WHEN n < 3 THEN 'misrouted' ELSE 'null_value' END, '', now(),"
        "        CASE WHEN n = 0 THEN 'discarded' ELSE 'open' END"
        "   FROM generate_series(0, 4) AS n"
    )
    async with watching(metrics, database_url=url):
        await poll(value(registry, "wallet_dead_letters_open"))
        scrape = scrape_of(registry)
        counted = {
            sample.labels["reason"]: sample.value
            for sample in scrape.samples
            if sample.name == "wallet_dead_letters_open" and sample.value
        }
    assert counted == {"misrouted": 2, "null_value": 2}


@pytest.mark.parametrize(("took_s", "pause_s"), [(0.001, 30), (0.3, 30), (4, 400)])
def test_counting_a_long_table_of_dead_letters_takes_a_hundredth_of_the_time(took_s, pause_s):
    assert letters_pause_s(took_s) == pause_s


async def test_what_is_taken_in_and_refused_is_counted(url, connection, registry, metrics):
    live = await connection.fetchval("SELECT generation FROM projections WHERE name = 'lots'")
    await connection.execute(f"ALTER TABLE lots_{live} ADD CHECK (remaining < 5)")
    await HistoryBuilder().create("wal_a").topup("wal_a", 5).write(connection)
    async with projecting(url, metrics):
        await poll(value(registry, "wallet_projection_refusals_total", model="lots"))
        await poll(
            lambda: value(registry, "wallet_projected_entries_total", model="wallets")() == 2
        )
    scrape = scrape_of(registry)
    assert scrape.value("wallet_projected_entries_total", model="lots") == 0
    assert scrape.value("wallet_projection_seconds_count", model="wallets") >= 1
    assert scrape.value("wallet_projection_refusals_total") == scrape.value(
        "wallet_projection_refusals_total", model="lots"
    )


async def test_a_version_that_this_release_does_not_fill_is_told_of(
    url, connection, registry, metrics
):
    await connection.execute("UPDATE projections SET version = version + 1 WHERE name = 'lots'")
    async with projecting(url, metrics):
        await poll(value(registry, "wallet_projection_outdated", model="lots"))
        await poll(
            lambda: (
                len(scrape_of(registry).labels_of("wallet_projection_outdated"))
                == len(PROJECTIONS)
            )
        )
    assert value(registry, "wallet_projection_outdated")() == 1
