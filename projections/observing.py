"""Who watches a projector: its metrics, if the settings ask for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.settings import Settings
from engine.telemetry.switches import metrics_if_on
from projections.observation import NOBODY, Observer


@asynccontextmanager
async def observing(settings: Settings) -> AsyncIterator[Observer]:
    """An observer for one projector; what it is told is served until the end.

    Raises MetricsPortError if metrics can't be served where the settings say.
    """
    async with metrics_if_on(settings) as registry:
        if registry is None:
            yield NOBODY
            return
        from projections.metrics import ProjectorMetrics  # noqa: PLC0415

        metrics = ProjectorMetrics(registry)
        watching = asyncio.create_task(metrics.watch_lag(settings))
        try:
            yield metrics
        finally:
            watching.cancel()
            await asyncio.wait({watching})
