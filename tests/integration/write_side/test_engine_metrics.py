"""What an engine counts of the things that an on-call person is called for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from engine.log import ShardLog
from engine.producing import ShardProducer
from engine.telemetry.metrics import EngineMetrics
from engine.telemetry.observer import TelemetryObserver
from engine.telemetry.topic_ends import TopicEnds, consumer_of_ends
from engine.topology import home
from schemas.instants import utc_now
from tests.support.engines import Service
from tests.support.payloads import create, debit, topup
from tests.support.polling import poll
from tests.support.scrapes import Scrape, scrape_of

W = "wal_a1"


class Watched:
    """The metrics of one engine."""

    def __init__(self, partitions: int) -> None:
        self._registry = CollectorRegistry()
        self.metrics = EngineMetrics(self._registry, partitions)
        self.observer = TelemetryObserver(self.metrics, None)

    @property
    def scrape(self) -> Scrape:
        return scrape_of(self._registry)

    def value(self, name: str, **labels: object) -> float:
        return self.scrape.value(name, **labels)


@pytest.fixture
def watched(partitions: int) -> Watched:
    return Watched(partitions)


async def test_a_lost_fence_is_counted_and_so_is_the_claim_after_it(
    running: Service, watched: Watched
) -> None:
    thief = await ShardLog.connect(0, running.settings)
    try:
        async with running.engine(observer=watched.observer):
            await running.send_commands(create(W), wallet_id=W)
            await running.decided()
            assert watched.value("wallet_shard_held", shard=0) == 1
            assert watched.value("wallet_fences_lost_total") == 0
            await thief.claim("thief")
            await running.send_commands(topup(W, "t", 5), wallet_id=W)
            await running.decided()
            assert watched.value("wallet_fences_lost_total") == 1
            assert watched.value("wallet_claims_total") == 2
            assert watched.value("wallet_outcomes_total", outcome="accepted") == 2
    finally:
        thief.close()


async def test_what_is_assigned_to_nobody_here_is_not_told_of(
    running: Service, watched: Watched
) -> None:
    async with running.engine(observer=watched.observer):
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        assert watched.scrape.labels_of("wallet_shard_next_offset") == [{"shard": "0"}]
    assert {name for name in watched.scrape.names if name.startswith("wallet_shard_")} == set()
    assert watched.value("wallet_shards") == 1
    assert watched.value("wallet_outcomes_total", outcome="accepted", code="wallet_created") == 1


@pytest.mark.parametrize("partitions", [2], indirect=True)
async def test_a_halted_shard_says_why_until_it_is_claimed(
    running: Service, watched: Watched
) -> None:
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
    shard = home(W, 2)
    mend = "UPDATE shards SET last_record = $2 WHERE shard = $1 RETURNING shard"
    last_record = (await running.shard(shard))["last_record"]
    await running.database.execute(mend, shard, b"other")
    async with running.engine(observer=watched.observer):
        await running.until("SELECT halted IS NOT NULL FROM shards WHERE shard = $1", shard)
        await poll(lambda: watched.value("wallet_shard_held") == 1)
        code = "commands_topic_replaced"
        assert watched.value("wallet_shard_halted", shard=shard, code=code) == 1
        assert watched.value("wallet_shard_halted", shard=1 - shard, code="none") == 0
        assert watched.value("wallet_shard_halted") == 1
        assert watched.value("wallet_shard_held", shard=shard) == 0
    await running.database.execute(mend, shard, last_record)
    async with running.engine(observer=watched.observer):
        await poll(lambda: watched.value("wallet_shard_held") == 2)
        assert watched.value("wallet_shard_halted") == 0


async def test_refusals_of_the_clock_and_of_data_are_told_apart(
    running: Service, watched: Watched
) -> None:
    ahead = timedelta(hours=1)
    async with running.engine(observer=watched.observer, clock=lambda: utc_now() + ahead):
        await running.send_commands(create(W), wallet_id=W)
        await poll(lambda: watched.value("wallet_appends_refused_total", reason="clock") > 1)
        ahead = timedelta()
        await running.decided()
    await running.database.execute("ALTER TABLE log ADD CONSTRAINT few CHECK (position < 1)")
    async with running.engine(observer=watched.observer):
        await running.send_commands(topup(W, "t", 5), wallet_id=W)
        await running.decided()
    assert watched.value("wallet_appends_refused_total", reason="data") == 1
    letters = {"outcome": "dead_letter", "code": "refused_by_database"}
    assert watched.value("wallet_outcomes_total", **letters) == 1
    assert watched.value("wallet_outcomes_total", outcome="dead_letter") == 1


async def test_dead_letters_are_counted_by_reason_and_rejections_by_code(
    running: Service, watched: Watched
) -> None:
    payloads = [b"no JSON", None, create(W), debit(W, "d", 5, description='"code":"decoy"')]
    async with running.engine(observer=watched.observer):
        for payload in payloads:
            await running.send(payload, key=W.encode())
        await running.decided()
    risen = {
        (labels["outcome"], labels["code"])
        for labels in watched.scrape.labels_of("wallet_outcomes_total")
        if watched.value("wallet_outcomes_total", **labels)
    }
    assert risen == {
        ("dead_letter", "malformed_json"),
        ("dead_letter", "null_value"),
        ("accepted", "wallet_created"),
        ("rejected", "insufficient_funds"),
    }


async def test_entries_that_kafka_does_not_take_are_seen_to_wait(
    running: Service, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = ShardProducer.publish

    async def fail(*_: Any) -> None:
        raise KafkaError

    monkeypatch.setattr(ShardProducer, "publish", fail)
    async with running.engine(observer=watched.observer):
        await running.send_commands(create(W), topup(W, "t", 5), wallet_id=W)
        await running.decided()
        await poll(lambda: watched.value("wallet_publish_failures_total") > 0)
        assert watched.value("wallet_shard_unpublished_entries", shard=0) == 2
        assert watched.value("wallet_published_entries_total") == 0
        monkeypatch.setattr(ShardProducer, "publish", publish)
        await poll(lambda: watched.value("wallet_shard_unpublished_entries", shard=0) == 0)
        assert watched.value("wallet_published_entries_total") == 2


@asynccontextmanager
async def _topic_ends(running: Service, watched: Watched) -> AsyncIterator[TopicEnds]:
    async with consumer_of_ends(running.settings) as consumer:
        yield TopicEnds(running.settings.commands_topic, consumer, watched.metrics.shards)


@asynccontextmanager
async def _transactions(running: Service) -> AsyncIterator[AIOKafkaProducer]:
    topic = running.settings.commands_topic
    async with AIOKafkaProducer(
        bootstrap_servers=running.settings.kafka_bootstrap, transactional_id=topic
    ) as producer:
        yield producer


def _lag(watched: Watched) -> Callable[[], float]:
    return lambda: watched.value("wallet_shard_lag_records", shard=0)


async def test_markers_of_transactions_are_no_lag(running: Service, watched: Watched) -> None:
    async with (
        running.engine(observer=watched.observer),
        _topic_ends(running, watched) as ends,
        _transactions(running) as producer,
    ):
        async with producer.transaction():
            await producer.send_and_wait(running.settings.commands_topic, create(W), partition=0)
        running.sent.append((0, 0))
        await running.decided()
        # the first look after a change can't know what is there
        await ends.look()
        assert _lag(watched)() == 1
        for _ in range(2):
            await ends.look()
            assert _lag(watched)() == 0
        assert watched.scrape.labels_of("wallet_shard_lag_records") == [{"shard": "0"}]


async def test_what_an_open_transaction_holds_back_is_lag(
    running: Service, watched: Watched
) -> None:
    topic = running.settings.commands_topic
    async with (
        running.engine(observer=watched.observer),
        _topic_ends(running, watched) as ends,
        _transactions(running) as producer,
    ):
        await running.send(create(W))
        await running.decided()
        await producer.begin_transaction()
        await producer.send_and_wait(topic, topup(W, "held back", 5), partition=0)
        await running.producer.send_and_wait(topic, topup(W, "behind it", 5), partition=0)
        for _ in range(3):
            await ends.look()
            assert _lag(watched)() == 2
        await producer.commit_transaction()
        running.sent.append((0, 2))
        await running.decided()
        for _ in range(2):
            await ends.look()
        assert _lag(watched)() == 0
