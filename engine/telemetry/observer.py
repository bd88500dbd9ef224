"""The engine's observer: metrics, traces, or both."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from typing_extensions import override

from engine.batch import Batch
from engine.intake import Record
from engine.log import ShardLog
from engine.observation import Observer, Stage, untimed
from engine.producing import ShardProducer
from engine.settings import Settings
from engine.telemetry.observed_log import ObservedLog
from engine.telemetry.observed_producer import ObservedProducer

if TYPE_CHECKING:
    from engine.telemetry.command_traces import CommandTraces
    from engine.telemetry.metrics import EngineMetrics


class TelemetryObserver(Observer):
    """Tells those of both that there are."""

    def __init__(self, metrics: "EngineMetrics | None", traces: "CommandTraces | None") -> None:
        self._metrics = metrics
        self._traces = traces

    @override
    async def open_log(self, shard: int, settings: Settings) -> ShardLog:
        if self._metrics is None:
            return await super().open_log(shard, settings)
        return await ObservedLog.open(shard, settings, self._metrics)

    @override
    async def open_producer(self, shard: int, settings: Settings) -> ShardProducer:
        return await ObservedProducer.open(shard, settings, self._metrics, self._traces)

    @override
    def assigned(self, shards: frozenset[int]) -> None:
        if self._metrics is not None:
            self._metrics.shards.assigned = shards

    @override
    def delivered(self, shard: int, records: Sequence[Record]) -> None:
        if self._traces is not None:
            self._traces.delivered(shard, records)

    @override
    def committed(self, shard: int, batch: Batch) -> None:
        if self._traces is not None:
            self._traces.committed(shard, batch)

    @override
    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        return untimed(stage) if self._metrics is None else self._metrics.stage(stage)
