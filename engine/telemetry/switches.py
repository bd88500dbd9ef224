"""Metrics and traces where the settings turn them on; where they don't, nothing is imported for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from engine.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from prometheus_client import CollectorRegistry


@asynccontextmanager
async def metrics_if_on(settings: Settings) -> "AsyncIterator[CollectorRegistry | None]":
    """A registry that is served until the end, with what every process tells; None if off.

    Raises MetricsPortError if it can't be served where the settings say.
    """
    if settings.metrics_port is None:
        yield None
        return
    from engine.telemetry.event_loop import watch_event_loop  # noqa: PLC0415
    from engine.telemetry.exposition import exposed, new_registry  # noqa: PLC0415

    registry = new_registry()
    with exposed(registry, settings.metrics_host, settings.metrics_port):
        watching = asyncio.create_task(watch_event_loop(registry))
        try:
            yield registry
        finally:
            watching.cancel()
            await asyncio.wait({watching})


@asynccontextmanager
async def traces_if_on(
    settings: Settings, process: Literal["engine", "api"]
) -> "AsyncIterator[Tracer | None]":
    """A tracer whose spans are sent off, the last of them at the end; None if off."""
    if not settings.traces:
        yield None
        return
    from engine.telemetry.tracing import tracing  # noqa: PLC0415

    async with tracing(process) as tracer:
        yield tracer
