"""The API's observer: metrics, traces, or both."""

from typing import TYPE_CHECKING

import asyncpg
from litestar.types import HTTPScope
from typing_extensions import override

from api.gateway import Gateway
from api.observation import Observer, OnAnswered
from api.telemetry.observed_gateway import ObservedGateway
from engine.settings import Settings
from projections.listening import Listener

if TYPE_CHECKING:
    from api.telemetry.metrics import ApiMetrics
    from api.telemetry.traces import RequestTraces


class TelemetryObserver(Observer):
    """Tells those of both that there are."""

    def __init__(self, metrics: "ApiMetrics | None", traces: "RequestTraces | None") -> None:
        self._metrics = metrics
        self._traces = traces

    @override
    def request(self, scope: HTTPScope) -> OnAnswered:
        watches = [each.request(scope) for each in (self._metrics, self._traces) if each]

        def answered(status: int | None, seconds: float) -> None:
            for watch in watches:
                watch(status, seconds)

        return answered

    @override
    def gateway(self, settings: Settings, listener: Listener) -> Gateway:
        return ObservedGateway(settings, listener, self._metrics, self._traces)

    @override
    def pool(self, name: str, pool: asyncpg.Pool) -> None:
        if self._metrics is not None:
            self._metrics.pool(name, pool)
