"""Who watches an engine: its metrics and traces, as far as the settings ask for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.observation import NOBODY, Observer
from engine.settings import Settings
from engine.telemetry.observer import TelemetryObserver
from engine.telemetry.switches import metrics_if_on, traces_if_on
from engine.telemetry.topic_ends import watch_topic_ends

if TYPE_CHECKING:
    from engine.telemetry.command_traces import CommandTraces
    from engine.telemetry.metrics import EngineMetrics


@asynccontextmanager
async def observing(settings: Settings, partitions: int) -> AsyncIterator[Observer]:
    """An observer for one engine; what it is told is served and sent off until the end.

    Raises MetricsPortError if metrics can't be served where the settings say.
    """
    async with _metrics(settings, partitions) as metrics, _traces(settings) as traces:
        if metrics is None and traces is None:
            yield NOBODY
        else:
            yield TelemetryObserver(metrics, traces)


@asynccontextmanager
async def _metrics(settings: Settings, partitions: int) -> "AsyncIterator[EngineMetrics | None]":
    async with metrics_if_on(settings) as registry:
        if registry is None:
            yield None
            return
        from engine.telemetry.metrics import EngineMetrics  # noqa: PLC0415

        metrics = EngineMetrics(registry, partitions)
        watching = asyncio.create_task(watch_topic_ends(settings, metrics.shards))
        try:
            yield metrics
        finally:
            watching.cancel()
            await asyncio.wait({watching})


@asynccontextmanager
async def _traces(settings: Settings) -> "AsyncIterator[CommandTraces | None]":
    async with traces_if_on(settings, "engine") as tracer:
        if tracer is None:
            yield None
            return
        from engine.telemetry.command_traces import CommandTraces  # noqa: PLC0415

        yield CommandTraces(tracer, settings)
