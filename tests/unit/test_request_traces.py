"""Traces of requests: whose they are, and what a command takes along."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from api.access.addresses import TrustedProxies
from api.telemetry.routes import UNKNOWN
from api.telemetry.traces import RequestTraces
from engine.settings import Settings
from engine.telemetry.tracing import TRACEPARENT
from schemas.commands import decode_command
from tests.support.payloads import topup
from tests.support.span_memory import SpanMemory

SETTINGS = Settings(trusted_proxies="10.0.0.0/8")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
COMMAND = decode_command(topup("wal_a1", "t", 5))


@pytest.fixture
def memory() -> SpanMemory:
    return SpanMemory()


@pytest.fixture
def traces(memory: SpanMemory) -> RequestTraces:
    return RequestTraces(memory.tracer, SETTINGS, TrustedProxies.of(SETTINGS))


def _scope(peer: str | None = "127.0.0.1", **more: Any) -> Any:
    return {
        "method": "POST",
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())],
        "state": {"request_id": "req_1"},
        "path_template": "/v1/wallets/{wallet_id}/debit",
    } | more


def _ids(span: ReadableSpan) -> tuple[str, str | None]:
    parent = span.parent and f"{span.parent.span_id:016x}"
    return f"{span.context.trace_id:032x}", parent


@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.9", None])
def test_a_caller_does_not_choose_the_trace(
    traces: RequestTraces, memory: SpanMemory, peer: str | None
) -> None:
    traces.request(_scope(peer))(200, 0.1)
    (span,) = memory.spans
    trace_id, parent = _ids(span)
    assert (trace_id == TRACE, parent) == (False, None)


def test_a_trusted_proxy_does(traces: RequestTraces, memory: SpanMemory) -> None:
    traces.request(_scope("10.1.2.3"))(200, 0.1)
    (span,) = memory.spans
    assert _ids(span) == (TRACE, PARENT)


def test_a_command_goes_on_from_its_request(traces: RequestTraces, memory: SpanMemory) -> None:
    answered = traces.request(_scope())
    with traces.sending(COMMAND) as headers:
        pass
    answered(200, 0.1)
    with traces.sending(COMMAND):
        pass
    sent, request, alone = memory.spans
    assert request.name == "POST /v1/wallets/{wallet_id}/debit"
    assert _ids(sent) == (f"{request.context.trace_id:032x}", f"{request.context.span_id:016x}")
    ((name, value),) = headers
    assert name == TRACEPARENT
    assert value.decode().split("-")[1:3] == [_ids(sent)[0], f"{sent.context.span_id:016x}"]
    # what comes after the answer belongs to no request
    assert _ids(alone)[1] is None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, StatusCode.UNSET),
        (404, StatusCode.UNSET),
        (503, StatusCode.ERROR),
        (None, StatusCode.ERROR),
    ],
)
def test_only_our_failures_are_failures(
    traces: RequestTraces, memory: SpanMemory, status: int | None, code: StatusCode
) -> None:
    scope = _scope()
    del scope["path_template"]
    traces.request(scope)(status, 0.1)
    (span,) = memory.spans
    assert span.status.status_code == code
    assert span.name == f"POST {UNKNOWN}"
    assert span.attributes.get("http.response.status_code") == status
