"""Where traces are off, nothing of them travels; where nobody collects them, nothing waits."""

import asyncio
import socket

import httpx
import pytest

from engine.telemetry.tracing import tracing
from tests.support.money_calls import debit, open_wallet
from tests.support.topics import read_commands, read_topic
from tests.support.wallet_service import WalletService

_END_S_MAX = 20.0


async def test_records_carry_no_trace_of_a_service_that_makes_none(
    service: WalletService, client: httpx.AsyncClient
) -> None:
    wallet_id = await open_wallet(client, balance=1_000)
    assert (await debit(client, wallet_id)).is_success
    settings = service.settings
    commands = await read_commands(settings)
    entries = await read_topic(settings, settings.events_topic, settings.partitions)
    published = [record for records in entries.values() for record in records]
    assert len(commands) >= 3
    assert published
    for record in (*commands, *published):
        assert "traceparent" not in dict(record.headers)


@pytest.mark.parametrize("listens", [False, True], ids=["refuses", "never answers"])
async def test_a_collector_that_takes_nothing_does_not_keep_the_process(
    monkeypatch: pytest.MonkeyPatch, listens: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        async with asyncio.timeout(_END_S_MAX), tracing("engine") as tracer:
            tracer.start_span("lost").end()
