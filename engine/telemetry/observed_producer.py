"""What a lease sends, counted and timed, and followed by traces."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from typing_extensions import override

from engine.events_topic import EventRecord, Headers
from engine.intake import Stray
from engine.producing import ShardProducer
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.telemetry.command_traces import CommandTraces
    from engine.telemetry.metrics import EngineMetrics


class ObservedProducer(ShardProducer):
    """Does what a ShardProducer does, and tells those of both that there are."""

    metrics: "EngineMetrics | None" = None
    traces: "CommandTraces | None" = None

    @classmethod
    async def open(
        cls,
        shard: int,
        settings: Settings,
        metrics: "EngineMetrics | None",
        traces: "CommandTraces | None",
    ) -> ShardProducer:
        producer = await cls.connect(settings, shard)
        producer.metrics, producer.traces = metrics, traces
        return producer

    @override
    async def publish(self, records: Sequence[EventRecord]) -> None:
        try:
            with self._watched(records):
                await super().publish(records)
        except Exception:
            if self.metrics is not None:
                self.metrics.publish_failed()
            raise
        if self.metrics is not None:
            self.metrics.published(self._shard, len(records), records[-1].position + 1)

    def _watched(self, records: Sequence[EventRecord]) -> AbstractContextManager[object]:
        watches = ExitStack()
        if self.traces is not None:
            watches.enter_context(self.traces.publishing(self._shard, records))
        if self.metrics is not None:
            watches.enter_context(self.metrics.stage("publish"))
        return watches

    @override
    def _entry_headers(self, records: Sequence[EventRecord]) -> Iterable[Headers]:
        headers = super()._entry_headers(records)
        if self.traces is None:
            return headers
        return self.traces.entry_headers(self._shard, records, headers)

    @override
    def _stray_headers(self, stray: Stray) -> Headers:
        headers = super()._stray_headers(stray)
        if self.traces is None:
            return headers
        return headers + self.traces.stray_headers(self._shard, stray)
