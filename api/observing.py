"""Who watches an API: its metrics and traces, as far as the settings ask for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from api.access.addresses import TrustedProxies
from api.observation import NOBODY, Observer
from api.telemetry.observer import TelemetryObserver
from engine.settings import Settings
from engine.telemetry.switches import metrics_if_on, traces_if_on

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer
    from prometheus_client import CollectorRegistry

    from api.telemetry.metrics import ApiMetrics
    from api.telemetry.traces import RequestTraces


@asynccontextmanager
async def observing(settings: Settings, proxies: TrustedProxies) -> AsyncIterator[Observer]:
    """An observer for one API; what it is told is served and sent off until the end.

    Metrics have a port of their own, which callers of the API need not reach. Raises
    MetricsPortError if it can't be had.
    """
    async with metrics_if_on(settings) as registry, traces_if_on(settings, "api") as tracer:
        if registry is None and tracer is None:
            yield NOBODY
        else:
            yield TelemetryObserver(_metrics(registry), _traces(tracer, settings, proxies))


def _metrics(registry: "CollectorRegistry | None") -> "ApiMetrics | None":
    if registry is None:
        return None
    from api.telemetry.metrics import ApiMetrics  # noqa: PLC0415

    return ApiMetrics(registry)


def _traces(
    tracer: "Tracer | None", settings: Settings, proxies: TrustedProxies
) -> "RequestTraces | None":
    if tracer is None:
        return None
    from api.telemetry.traces import RequestTraces  # noqa: PLC0415

    return RequestTraces(tracer, settings, proxies)
