"""A collector of spans: receives OTLP over HTTP, as one beside a deployment would."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_OK = 200
_NOT_FOUND = 404


class CollectedSpan(NamedTuple):
    """A span as it was sent; ids are hexadecimal, `parent_id` is empty for the first of a trace."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str | int | bool]
    start_ns: int
    end_ns: int


class SpanCollector:
    """What has come so far."""

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        self.endpoint = ""

    def take(self, body: bytes) -> None:
        """Keep what a request has brought."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        CollectedSpan(
                            str(service),
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            _attributes(span.attributes),
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                        )
                    )

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        """The spans of a trace, by when they began."""
        spans = [span for span in self.spans if span.trace_id == trace_id]
        return sorted(spans, key=lambda span: span.start_ns)


def _attributes(pairs) -> dict[str, str | int | bool]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def span_collector() -> Iterator[SpanCollector]:
    """A collector that listens on 127.0.0.1 until the end."""
    collector = SpanCollector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = self.path == "/v1/traces"
            if found:
                collector.take(body)
            self.send_response(_OK if found else _NOT_FOUND)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
