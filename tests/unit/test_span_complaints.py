"""What a process says of a collector that is away."""

import logging
import socket
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from engine.telemetry.tracing import Complaints, tracing
from tests.support.polling import poll

EXPORTER = OTLPSpanExporter.__module__


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Spans go to a port where nobody listens, and are given up soon."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    # kept, so that nobody else begins to listen there
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        yield


async def test_a_collector_that_is_away_is_one_line(
    nobody: None, caplog: pytest.LogCaptureFixture
) -> None:
    tried = 0

    def count(record: logging.LogRecord) -> bool:
        nonlocal tried
        tried += record.levelno == logging.ERROR
        return True

    logger = logging.getLogger(EXPORTER)
    # what was traced before may still be ending
    await poll(lambda: not logger.filters)
    logger.addFilter(count)
    try:
        async with tracing("engine") as tracer:

            def given_up() -> bool:
                with tracer.start_as_current_span("lost"):
                    return tried >= 2

            await poll(given_up)
    finally:
        logger.removeFilter(count)
    (told,) = [record for record in caplog.records if record.name == EXPORTER]
    assert (told.levelname, told.levelno) == ("WARNING", logging.WARNING)
    assert told.getMessage().startswith("spans_not_sent: ")
    assert "refused" in told.getMessage()
    await poll(lambda: not logger.filters)


def test_it_is_said_again_after_a_while() -> None:
    now = 0.0
    complaints = Complaints(lambda: now)

    def complain(level: int, text: str) -> str | None:
        record = logging.LogRecord(EXPORTER, level, "", 0, text, (), None)
        return record.getMessage() if complaints.filter(record) else None

    assert complain(logging.INFO, "all is well") == "all is well"
    assert complain(logging.WARNING, "no route") is None
    assert complain(logging.ERROR, "given up:") == (
        "spans_not_sent: given up: no route Said every 300 s at most."
    )
    now = 299.0
    assert complain(logging.ERROR, "given up:") is None
    now = 300.0
    assert complain(logging.ERROR, "given up:") is not None
