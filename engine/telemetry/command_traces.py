"""Traces through the engine: from the record of a command to the record of its outcome.

A command whose headers carry a sampled `traceparent` gets a span from its delivery to its commit,
and its outcome's entry one while it is published, whose context stands in the entry's headers. The
context is kept in memory alone: what a later lease publishes out of the log carries none.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from engine.batch import Batch
from engine.events_topic import EventRecord, Headers
from engine.intake import Record, Stray
from engine.settings import Settings
from engine.telemetry.tracing import sampled_parent, traceparent_of

_KEPT_MAX: Final = 10_000
"""So many commands and entries at most are followed at once; the oldest are let go."""

Place = tuple[int, int]
"""A shard, and an offset or a position in it."""

_Kept = TypeVar("_Kept")


class _Delivered(NamedTuple):
    parent: Context
    since_ns: int


class CommandTraces:
    """Follows the commands of one engine."""

    def __init__(self, tracer: Tracer, settings: Settings) -> None:
        self._tracer = tracer
        self._settings = settings
        self._delivered: OrderedDict[Place, _Delivered] = OrderedDict()
        self._committed: OrderedDict[Place, Context] = OrderedDict()
        self._publishing: dict[Place, Span] = {}

    def delivered(self, shard: int, records: Iterable[Record]) -> None:
        """Remember which of these records belong to a trace."""
        for record in records:
            if record.headers and (parent := sampled_parent(record.headers)) is not None:
                _keep(self._delivered, (shard, record.offset), _Delivered(parent, time.time_ns()))

    def committed(self, shard: int, batch: Batch) -> None:
        """Make the spans of what the batch decided."""
        if not self._delivered:
            return
        append = batch.append
        for offset, index in batch.outcome_entries:
            if (delivered := self._delivered.pop((shard, offset), None)) is not None:
                span = self._decided(shard, offset, delivered, append.types[index])
                place = (shard, append.from_position + index)
                _keep(self._committed, place, set_span_in_context(span))
        for letter in append.dead_letters:
            if (delivered := self._delivered.pop((shard, letter.offset), None)) is not None:
                self._decided(shard, letter.offset, delivered, "dead_letter", letter.reason)
        for forward in append.forwards:
            if (delivered := self._delivered.pop((shard, forward.offset), None)) is not None:
                self._decided(shard, forward.offset, delivered, "forwarded")
        self._repeated(shard, append.from_offset, append.to_offset)

    def _repeated(self, shard: int, start: int, stop: int) -> None:
        """What is left of a batch was decided before."""
        for place in [each for each in self._delivered if each[0] == shard and each[1] < stop]:
            delivered = self._delivered.pop(place)
            if place[1] >= start:
                self._decided(shard, place[1], delivered, "nothing_new")

    def _decided(
        self,
        shard: int,
        offset: int,
        delivered: _Delivered,
        outcome: str,
        failure: str | None = None,
    ) -> Span:
        topic = self._settings.commands_topic
        span = self._tracer.start_span(
            f"process {topic}",
            delivered.parent,
            SpanKind.CONSUMER,
            {
                **_place(topic, shard, "process"),
                "messaging.consumer.group.name": self._settings.group,
                "messaging.kafka.offset": offset,
                "wallet.outcome": outcome,
            },
            start_time=delivered.since_ns,
        )
        if failure is not None:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end()
        return span

    def stray_headers(self, shard: int, stray: Stray) -> Headers:
        """What a command that is sent home takes along."""
        delivered = self._delivered.get((shard, stray.offset))
        if delivered is None:
            return []
        topic = self._settings.commands_topic
        span = self._tracer.start_span(
            f"send {topic}",
            delivered.parent,
            SpanKind.PRODUCER,
            {**_place(topic, stray.home, "send"), "wallet.forwarded": True},
        )
        span.end()
        return [traceparent_of(span)]

    def entry_headers(
        self, shard: int, records: Sequence[EventRecord], headers: Iterable[Headers]
    ) -> Iterator[Headers]:
        """The headers, with the context of those entries that are being published in a trace."""
        for record, own in zip(records, headers, strict=True):
            span = self._publishing.get((shard, record.position))
            yield own if span is None else [*own, traceparent_of(span)]

    @contextmanager
    def publishing(self, shard: int, records: Sequence[EventRecord]) -> Iterator[None]:
        """Make spans for entries of traces, which last until the broker has them."""
        topic = self._settings.events_topic
        spans: dict[Place, Span] = {}
        if self._committed:
            for record in records:
                place = (shard, record.position)
                if (parent := self._committed.get(place)) is not None:
                    spans[place] = self._tracer.start_span(
                        f"send {topic}",
                        parent,
                        SpanKind.PRODUCER,
                        {
                            **_place(topic, shard, "send"),
                            "wallet.position": record.position,
                            "wallet.entry": record.type,
                        },
                    )
        self._publishing.update(spans)
        try:
            yield
        except BaseException as error:
            for span in spans.values():
                span.set_status(Status(StatusCode.ERROR, repr(error)))
            raise
        else:
            for place in spans:
                self._committed.pop(place, None)
        finally:
            for place, span in spans.items():
                self._publishing.pop(place, None)
                span.end()


def _place(topic: str, partition: int, operation: str) -> dict[str, str]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
    }


def _keep(kept: OrderedDict[Place, _Kept], place: Place, what: _Kept) -> None:
    kept[place] = what
    if len(kept) > _KEPT_MAX:
        kept.popitem(last=False)
