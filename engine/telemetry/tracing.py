"""Spans: where they go to, and how their context crosses Kafka as a W3C traceparent.

What is not said here is said by the `OTEL_*` variables: the collector's address, sampling, names.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from engine.events_topic import TRACEPARENT

_END_S_MAX: Final = 3.0
_COMPLAINTS_EVERY_S: Final = 300.0
_PROJECT: Final = "wallet-engine"

_propagator = TraceContextTextMapPropagator()


@asynccontextmanager
async def tracing(process: str) -> AsyncIterator[Tracer]:
    """A tracer for the process, `engine` or `api`; what it has of spans is sent at the end."""
    exporting = logging.getLogger(OTLPSpanExporter.__module__)
    complaints = Complaints()
    exporting.addFilter(complaints)
    provider = TracerProvider(resource=_resource(process), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield provider.get_tracer(_PROJECT, version(_PROJECT))
    finally:

        def end() -> None:
            provider.shutdown()
            exporting.removeFilter(complaints)

        # a collector that does not answer must not keep a process that is to end
        ending = Thread(target=end, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _END_S_MAX)


class Complaints(logging.Filter):
    """Of what an exporter complains of at each try, lets one line through now and then.

    A retry's warning has the reason, and the error that comes when it is given up has none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._due = clock()
        self._reason = ""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        if record.levelno == logging.WARNING:
            self._reason = f" {record.getMessage()}"
            return False
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + _COMPLAINTS_EVERY_S
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        told = f"{record.getMessage()}{self._reason}"
        record.msg, record.args = (
            "spans_not_sent: %s Said every %.0f s at most.",
            (told, _COMPLAINTS_EVERY_S),
        )
        return True


def _resource(process: str) -> Resource:
    attributes = {SERVICE_VERSION: version(_PROJECT)}
    if OTEL_SERVICE_NAME not in os.environ:
        attributes[SERVICE_NAME] = f"wallet-{process}"
    return Resource.create(attributes)


def parent_of(headers: Iterable[tuple[str, bytes | None]]) -> Context:
    """The context that headers carry; an empty one if none of them does."""
    for name, value in headers:
        if name == TRACEPARENT and value is not None:
            carrier = {TRACEPARENT: value.decode("latin-1")}
            return _propagator.extract(carrier, context=Context())
    return Context()


def sampled_parent(headers: Iterable[tuple[str, bytes | None]]) -> Context | None:
    """The context that headers carry, if its trace is one that is recorded."""
    context = parent_of(headers)
    sampled = get_current_span(context).get_span_context().trace_flags.sampled
    return context if sampled else None


def traceparent_of(span: Span) -> tuple[str, bytes]:
    """The header that makes whoever reads the record go on from this span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span))
    return TRACEPARENT, carrier[TRACEPARENT].encode()
