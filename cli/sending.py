"""Sending command lines to Kafka in batches, one stream for each partition.

async with sending(settings) as stream:
    await stream.add(line)
    await stream.flush()
    stream.take_acknowledged()  # in the order they were added
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from cli.command_lines import CommandLine
from cli.errors import SendFailedError
from cli.kafka import commands_partitions, reaching_kafka
from engine.kafka import client_options
from engine.producing import close_producer
from engine.settings import Settings
from engine.topics import RECORD_BYTES_MAX

BATCH_BYTES_MAX: Final = 256 * 1024
BATCHES_UNDER_WAY_MAX: Final = 32
"""More are not begun until Kafka has acknowledged some."""


ACKNOWLEDGE_TIMEOUT_S: Final = 30.0
"""An idempotent producer tries for ever, and the person who waits should know."""


class SentLine(Struct, frozen=True):
    """A line that Kafka has acknowledged, and where it stands."""

    line: CommandLine
    partition: int
    offset: int


class _Line(Struct):
    line: CommandLine
    partition: int
    offset: int | None = None


class _Batch:
    def __init__(self, builder: Any, partition: int) -> None:
        self.builder = builder
        self.partition = partition
        self.lines: list[_Line] = []


class CommandStream:
    """Lines of one wallet reach its partition in the order they were added."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        partitions: int,
        acknowledge_timeout_s: float = ACKNOWLEDGE_TIMEOUT_S,
    ) -> None:
        self.acknowledged = 0
        self._acknowledge_timeout_s = acknowledge_timeout_s
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._open: dict[int, _Batch] = {}
        self._under_way: set[asyncio.Future[None]] = set()
        self._in_order: deque[_Line] = deque()

    @property
    def pending(self) -> int:
        """How many lines were added and not taken yet."""
        return len(self._in_order)

    async def add(self, line: CommandLine) -> None:
        """Put the line into a batch; sends the batch if that fills it."""
        partition = line.partition(self._partitions)
        added = _Line(line, partition)
        batch = self._open.get(partition) or self._new_batch(partition)
        if not _append(batch, added):
            await self._send(batch)
            batch = self._new_batch(partition)
            _append(batch, added)
        self._in_order.append(added)

    async def flush(self) -> None:
        """Send what stands in batches that are not full."""
        for batch in list(self._open.values()):
            await self._send(batch)

    async def drain(self) -> None:
        """Send everything, and wait until Kafka has acknowledged it."""
        await self.flush()
        while self._under_way:
            await self._wait_for_one()

    def take_acknowledged(self) -> list[SentLine]:
        """The lines that have an offset, up to the first that has none, each once."""
        taken = []
        while self._in_order and (offset := self._in_order[0].offset) is not None:
            first = self._in_order.popleft()
            taken.append(SentLine(first.line, first.partition, offset))
        return taken

    async def give_up(self) -> None:
        """Forget what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _new_batch(self, partition: int) -> _Batch:
        batch = self._open[partition] = _Batch(self._producer.create_batch(), partition)
        return batch

    async def _send(self, batch: _Batch) -> None:
        del self._open[batch.partition]
        while len(self._under_way) >= BATCHES_UNDER_WAY_MAX:
            await self._wait_for_one()
        future = await self._producer.send_batch(
            batch.builder, self._topic, partition=batch.partition
        )
        self._under_way.add(asyncio.ensure_future(self._note_offsets(batch, future)))

    async def _note_offsets(self, batch: _Batch, future: asyncio.Future[Any]) -> None:
        first = (await future).offset
        for place, line in enumerate(batch.lines):
            line.offset = first + place
        self.acknowledged += len(batch.lines)

    async def _wait_for_one(self) -> None:
        done, self._under_way = await asyncio.wait(
            self._under_way,
            return_when=asyncio.FIRST_COMPLETED,
            timeout=self._acknowledge_timeout_s,
        )
        if not done:
            raise self._failed(f"Kafka has been silent for {self._acknowledge_timeout_s:g} s")
        for task in done:
            try:
                task.result()
            except KafkaError as error:
                what = f"Kafka refused a batch ({type(error).__name__}: {error})"
                raise self._failed(what) from error

    def _failed(self, what: str) -> SendFailedError:
        return SendFailedError(
            f"{what}. {self.acknowledged} lines were acknowledged; others may have arrived as"
            " well. Send the same lines again: what arrived is not carried out twice."
        )


@asynccontextmanager
async def sending(settings: Settings) -> AsyncIterator[CommandStream]:
    """A stream into the commands topic, with every batch acknowledged by all replicas."""
    with reaching_kafka(settings):
        partitions = await commands_partitions(settings)
        options = {"max_batch_size": BATCH_BYTES_MAX, "max_request_size": RECORD_BYTES_MAX}
        async with producing(settings, **options) as producer:
            stream = CommandStream(producer, settings.commands_topic, partitions)
            try:
                yield stream
            finally:
                await stream.give_up()


@asynccontextmanager
async def producing(settings: Settings, **options: int) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose records all replicas acknowledge; at the end it waits for no broker."""
    producer = AIOKafkaProducer(
        **client_options(settings), acks="all", enable_idempotence=True, **options
    )
    try:
        await producer.start()
        yield producer
    finally:
        await close_producer(producer)


def _append(batch: _Batch, added: _Line) -> bool:
    wallet_id = added.line.wallet_id
    place = batch.builder.append(
        timestamp=None,
        key=None if wallet_id is None else wallet_id.encode(),
        value=added.line.data,
    )
    if place is None:
        return False
    batch.lines.append(added)
    return True
