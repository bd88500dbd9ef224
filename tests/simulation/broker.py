"""Kafka, simulated: topics, offsets, a consumer group, and how requests reach it or do not.

The clients are in `clients.py`, with the part of aiokafka's interface that the engine uses.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextvars import Context
from random import Random
from typing import Any, Final, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber
from msgspec import Struct

from tests.simulation.group import Group

_RECORD_OVERHEAD_BYTES: Final = 20
_HEADER_BYTES: Final = 40
SEQUENCES_KEPT: Final = 5
"""A broker tells a repeated record batch of a producer from a new one as far back as this."""


class Record(Struct, frozen=True, gc=False):
    """A record as consumers see it; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


Unsent = tuple[int | None, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""Timestamp, key, value and headers of a record on its way."""


def size_of(record: Unsent) -> int:
    """About the bytes that it takes in a record batch."""
    _, key, value, headers = record
    carried = len(headers) * _HEADER_BYTES + _RECORD_OVERHEAD_BYTES
    return len(key or b"") + len(value or b"") + carried


class Partition:
    """The records of one partition; an offset may be taken by a transaction's marker."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.offsets: list[int] = []
        self.begin = 0
        self.end = 0

    def from_offset(self, offset: int, count_max: int) -> list[Record]:
        start = bisect_left(self.offsets, offset)
        return self.records[start : start + count_max]


class Publication(Struct):
    """What becomes of one request to produce.

    `refused`: the broker answers with this. `answer_s` None: the answer is lost, and the client
    gives up after `unanswered_s`. `lands_s` may be later than that.
    """

    lands_s: float
    answer_s: float | None
    refused: KafkaError | None = None
    unanswered_s: float = 0.5
    repeated: bool = False


class BrokerTrouble(Protocol):
    """What goes wrong between clients and the broker; it is asked in the client's context."""

    def trip(self, what: str) -> float:
        """Seconds for half of a request's way. `what`: fetch, heartbeat, join, commit, ends, …"""

    def away_until(self) -> float:
        """The moment until which no request of this client gets through."""

    def publication(self, topic: str, partition: int) -> Publication:
        """What becomes of a record batch."""


class Smooth:
    """No trouble."""

    def trip(self, what: str) -> float:
        return 0.001

    def away_until(self) -> float:
        return 0.0

    def publication(self, topic: str, partition: int) -> Publication:
        return Publication(0.001, 0.001)


class SimulatedBroker:
    """The topics and the group of one cluster, all of whose topics have as many partitions."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now_ms: Callable[[], int],
        topics: list[str],
        partitions: int,
        source: Random,
        trouble: BrokerTrouble | None = None,
        *,
        record_bytes_max: int = 1024 * 1024,
    ) -> None:
        self.loop = loop
        self._record_bytes_max = record_bytes_max
        self.trouble: BrokerTrouble = Smooth() if trouble is None else trouble
        self.topics: dict[str, list[Partition]] = {}
        self.record_listeners: list[Callable[[str, int, Record], None]] = []
        self._now_ms = now_ms
        self._source = source
        self._groups: dict[tuple[str, str], Group] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._sequences: dict[tuple[int, str, int], list[tuple[int, int, int]]] = {}
        self._producers = 0
        # what the broker does by itself runs in no client's context
        self.context = Context()
        for topic in topics:
            self.create_topic(topic, partitions)

    def create_topic(self, topic: str, partitions: int) -> None:
        self.topics[topic] = [Partition() for _ in range(partitions)]
        self._waiting[topic] = []

    def group(self, name: str, topic: str) -> Group:
        group = self._groups.get((name, topic))
        if group is None:
            partitions = len(self.topics[topic])
            group = self._groups[name, topic] = self.context.run(
                Group,
                _Detached(self.loop, self.context),
                lambda: [TopicPartition(topic, number) for number in range(partitions)],
                self._source.random,
            )
        return group

    def lose_offsets(self) -> None:
        for group in self._groups.values():
            group.lose_offsets()

    def append(
        self,
        topic: str,
        partition: int,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
        timestamp: int | None = None,
    ) -> int:
        """Write a record at once; its offset."""
        place = self.topics[topic][partition]
        offset = place.end
        record = Record(
            topic,
            partition,
            offset,
            self._now_ms() if timestamp is None else timestamp,
            key,
            value,
            headers,
        )
        place.records.append(record)
        place.offsets.append(offset)
        place.end = offset + 1
        for listener in self.record_listeners:
            listener(topic, partition, record)
        if waiting := self._waiting[topic]:
            self._waiting[topic] = []
            for arrival in waiting:
                if not arrival.done():
                    arrival.set_result(None)
        return offset

    def mark(self, topic: str, partition: int) -> None:
        """Let a transaction's marker take the next offset."""
        self.topics[topic][partition].end += 1

    def wake_on_arrival(self, topic: str, waiter: asyncio.Future[None]) -> None:
        """Let it be done when the next record lands in the topic."""
        self._waiting[topic].append(waiter)

    def new_producer(self) -> int:
        self._producers += 1
        return self._producers

    def produce(
        self, producer: int, sequence: int, topic: str, partition: int, records: list[Unsent]
    ) -> int:
        """Write a record batch of an idempotent producer; the offset of its first record.

        Raises MessageSizeTooLargeError, or OutOfOrderSequenceNumber for what does not follow its
        last batch.
        """
        if sum(map(size_of, records)) > self._record_bytes_max:
            raise MessageSizeTooLargeError
        known = self._sequences.setdefault((producer, topic, partition), [])
        for first, count, offset in known:
            if (first, count) == (sequence, len(records)):
                return offset
        if known and known[-1][0] + known[-1][1] != sequence:
            raise OutOfOrderSequenceNumber
        first_offset = self.topics[topic][partition].end
        self.produce_anew(topic, partition, records)
        known.append((sequence, len(records), first_offset))
        del known[:-SEQUENCES_KEPT]
        return first_offset

    def produce_anew(self, topic: str, partition: int, records: list[Unsent]) -> None:
        """Write a record batch again: the broker has forgotten its producer."""
        for timestamp, key, value, headers in records:
            self.append(
                topic, partition, key=key, value=value, headers=headers, timestamp=timestamp
            )

    def in_any_order(self, places: Iterable[TopicPartition]) -> list[TopicPartition]:
        """The order in which a fetch finds them."""
        found = list(places)
        self._source.shuffle(found)
        return found


class _Detached:
    """The loop, with callbacks in the broker's own context."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self._loop = loop
        self._context = context

    def create_future(self) -> "asyncio.Future[Any]":
        return self._loop.create_future()

    def call_later(self, delay: float, callback: Any, *args: Any) -> Any:
        return self._loop.call_later(delay, callback, *args, context=self._context)
