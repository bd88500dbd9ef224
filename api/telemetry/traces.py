"""Traces through the API: a span for each request, and one for each command that it sends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar.types import HTTPScope
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context

from api.access.addresses import TrustedProxies
from api.gateway.producing import Headers
from api.telemetry.routes import route_of
from engine.settings import Settings
from engine.telemetry.tracing import parent_of, traceparent_of
from schemas.commands import AnyCommand

_SERVER_ERROR_MIN = 500


class RequestTraces:
    """Follows the requests of one API."""

    def __init__(self, tracer: Tracer, settings: Settings, proxies: TrustedProxies) -> None:
        self._tracer = tracer
        self._topic = settings.commands_topic
        self._proxies = proxies

    def request(self, scope: HTTPScope) -> Callable[[int | None, float], None]:
        """Begin a span, in whose context this task goes on until it is told of the answer."""
        method = scope["method"]
        span = self._tracer.start_span(
            method,
            self._parent(scope),
            SpanKind.SERVER,
            {"http.request.method": method, "wallet.request_id": scope["state"]["request_id"]},
        )
        token = contexts.attach(set_span_in_context(span))

        def answered(status: int | None, seconds: float) -> None:  # noqa: ARG001
            contexts.detach(token)
            route = route_of(scope)
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
            if status is not None:
                span.set_attribute("http.response.status_code", status)
            if status is None or status >= _SERVER_ERROR_MIN:
                span.set_status(Status(StatusCode.ERROR))
            span.end()

        return answered

    def _parent(self, scope: HTTPScope) -> Context:
        # or anybody could decide what is recorded, and in whose trace
        peer = scope["client"]
        if peer is None or not self._proxies.include(peer[0]):
            return Context()
        return parent_of((name.decode("latin-1"), value) for name, value in scope["headers"])

    @contextmanager
    def sending(self, command: AnyCommand) -> Iterator[Headers]:
        """A span while a command is sent; the headers that tell the engine of it."""
        with self._tracer.start_as_current_span(
            f"send {self._topic}",
            kind=SpanKind.PRODUCER,
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "send",
                "messaging.destination.name": self._topic,
                "wallet.command": str(command.__struct_config__.tag),
            },
        ) as span:
            yield [traceparent_of(span)]
