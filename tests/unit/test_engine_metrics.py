"""Counting costs a batch something, and a command nothing."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from engine.log import Append
from engine.observation import NOBODY, Observer
from engine.telemetry.metrics import EngineMetrics
from engine.telemetry.observer import TelemetryObserver
from engine.telemetry.shard_gauges import Progress
from schemas.events import TAGS
from tests.support.batches import NOON, decide_all, records, start
from tests.support.payloads import create, debit, topup
from tests.support.scrapes import scrape_of

W = "wal_a1"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was counted, each time that something was."""
    calls: list[str] = []
    for metric, method in ((Counter, "inc"), (Histogram, "observe")):
        original = getattr(metric, method)

        def count(self: Any, *arguments: Any, original: Any = original) -> None:
            calls.append(self._name)
            original(self, *arguments)

        monkeypatch.setattr(metric, method, count)
    return calls


def _metrics(registry: CollectorRegistry) -> EngineMetrics:
    metrics = EngineMetrics(registry, 1)
    metrics.shards.progress[0] = Progress(0, 0, 0)
    return metrics


def _append(size: int) -> Append:
    """A batch with as many top-ups as refused debits."""
    commands = [create(W)]
    for number in range(size):
        commands += [topup(W, f"t{number}", 1), debit(W, f"d{number}", 10**9)]
    return decide_all(start(), records(*commands), now=NOON).append


def test_a_batch_is_counted_as_often_whatever_its_size(counted: list[str]) -> None:
    registry = CollectorRegistry()
    metrics = _metrics(registry)
    sizes = (1, 50)
    calls = []
    for size in sizes:
        counted.clear()
        metrics.appended(0, _append(size))
        calls.append(sorted(counted))
    assert calls[0] == calls[1]
    scrape = scrape_of(registry)
    for code in ("topped_up", "insufficient_funds"):
        assert scrape.value("wallet_outcomes_total", code=code) == sum(sizes)


def test_every_code_of_the_contract_is_there_from_the_start() -> None:
    scrape = scrape_of(_registry_of_new_metrics())
    assert {labels["type"] for labels in scrape.labels_of("wallet_entries_total")} == {
        *TAGS.values()
    }
    assert scrape.value("wallet_outcomes_total") == 0
    outcomes = {labels["outcome"] for labels in scrape.labels_of("wallet_outcomes_total")}
    assert outcomes == {"accepted", "rejected", "dead_letter", "forwarded"}


def _registry_of_new_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    EngineMetrics(registry, 1)
    return registry


@pytest.mark.parametrize(
    "observer",
    [NOBODY, TelemetryObserver(_metrics(CollectorRegistry()), None)],
    ids=["off", "metrics alone"],
)
def test_without_traces_nobody_looks_at_a_record(observer: Observer) -> None:
    class Untouched:
        def __iter__(self) -> Any:
            raise AssertionError("the records were looked at")

        def __len__(self) -> int:
            raise AssertionError("the records were looked at")

    records: Any = Untouched()
    observer.delivered(0, records)
