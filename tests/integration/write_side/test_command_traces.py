"""Commands that carry a traceparent are followed through the engine, whatever becomes of them."""

from typing import Any

import pytest
from aiokafka.errors import KafkaError
from opentelemetry.sdk.trace import ReadableSpan

from engine.producing import ShardProducer
from engine.telemetry.command_traces import CommandTraces
from engine.telemetry.observer import TelemetryObserver
from engine.topology import home
from tests.support.engines import Service
from tests.support.payloads import create, debit, topup
from tests.support.polling import poll
from tests.support.span_memory import SpanMemory

W = "wal_a1"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = [("traceparent", f"00-{TRACE}-{PARENT}-01".encode())]


class Followed:
    """An observer that follows commands, and the spans that it has made."""

    def __init__(self, running: Service) -> None:
        self._memory = SpanMemory()
        self.traces = CommandTraces(self._memory.tracer, running.settings)
        self.observer = TelemetryObserver(None, self.traces)
        self._settings = running.settings

    def spans(self, what: str) -> list[ReadableSpan]:
        names = {
            "process": f"process {self._settings.commands_topic}",
            "forward": f"send {self._settings.commands_topic}",
            "publish": f"send {self._settings.events_topic}",
        }
        return [span for span in self._memory.spans if span.name == names[what]]

    def outcomes(self) -> list[Any]:
        return [span.attributes["wallet.outcome"] for span in self.spans("process")]

    @property
    def kept(self) -> int:
        """How much is still remembered."""
        traces = self.traces
        return len(traces._delivered) + len(traces._committed) + len(traces._publishing)


@pytest.fixture
def followed(running: Service) -> Followed:
    return Followed(running)


def _parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    return f"{span.parent.span_id:016x}"


async def test_each_fate_of_a_command_ends_its_span(running: Service, followed: Followed) -> None:
    refused = debit(W, "d", 5)
    async with running.engine(observer=followed.observer):
        for payload in (create(W), refused, refused, b"no JSON"):
            await running.send(payload, headers=SAMPLED)
            await running.decided()
        await poll(lambda: len(followed.spans("publish")) == 2)
    assert followed.outcomes() == [
        "wallet_created",
        "command_rejected",
        "nothing_new",
        "dead_letter",
    ]
    assert {_parent_of(span) for span in followed.spans("process")} == {PARENT}
    *_, letter = followed.spans("process")
    assert letter.status.description == "malformed_json"
    decided = [f"{span.context.span_id:016x}" for span in followed.spans("process")]
    assert [_parent_of(span) for span in followed.spans("publish")] == decided[:2]
    assert followed.kept == 0


async def test_what_is_not_sampled_or_not_traced_is_not_followed(
    running: Service, followed: Followed
) -> None:
    others = [
        [("traceparent", f"00-{TRACE}-{PARENT}-00".encode())],
        [("traceparent", b"\xff")],
        [("traceparent", None)],
        [("Traceparent", SAMPLED[0][1])],
        None,
    ]
    async with running.engine(observer=followed.observer):
        await running.send(create(W))
        for number, headers in enumerate(others):
            await running.send(topup(W, f"t{number}", 5), headers=headers)
        await running.decided()
        await running.until("SELECT published = position FROM shards WHERE shard = 0")
    assert len(await running.entries()) == 1 + len(others)
    assert followed.outcomes() == []
    published = (await running.published())[0]
    assert all("traceparent" not in dict(record.headers) for record in published)


@pytest.mark.parametrize("partitions", [4], indirect=True)
async def test_a_command_that_is_sent_home_takes_its_trace_along(
    running: Service, followed: Followed
) -> None:
    shard = home(W, 4)
    async with running.engine(observer=followed.observer):
        await running.send(create(W), partition=(shard + 1) % 4, headers=SAMPLED)
        await running.decided()
        await poll(lambda: followed.spans("publish"))
        await poll(lambda: len(followed.spans("process")) == 2)
    (forward,) = followed.spans("forward")
    assert _parent_of(forward) == PARENT
    (record,) = (await running.records(running.settings.commands_topic))[shard]
    assert dict(record.headers)["traceparent"].decode().split("-")[1:3] == [
        TRACE,
        f"{forward.context.span_id:016x}",
    ]
    assert sorted(followed.outcomes()) == ["forwarded", "wallet_created"]
    at_home = next(
        span
        for span in followed.spans("process")
        if span.attributes["wallet.outcome"] == "wallet_created"
    )
    assert _parent_of(at_home) == f"{forward.context.span_id:016x}"


async def test_an_entry_that_was_refused_once_is_published_in_its_trace(
    running: Service, followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, failures = ShardProducer.publish, []

    async def fail_once(producer: ShardProducer, records: Any) -> None:
        if not failures:
            failures.append(records)
            raise KafkaError
        await publish(producer, records)

    monkeypatch.setattr(ShardProducer, "publish", fail_once)
    async with running.engine(observer=followed.observer):
        await running.send(create(W), headers=SAMPLED)
        await running.decided()
        await poll(lambda: len(followed.spans("publish")) == 2)
    failed, done = followed.spans("publish")
    assert not failed.status.is_ok
    (record,) = (await running.published())[0]
    traceparent = dict(record.headers)["traceparent"].decode()
    assert traceparent.split("-")[1:3] == [TRACE, f"{done.context.span_id:016x}"]
    assert followed.kept == 0
