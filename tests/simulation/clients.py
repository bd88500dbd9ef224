"""Clients of the simulated broker: as much of aiokafka's as the engine uses, by the same names.

What they promise is what aiokafka's do: `tests/conformance/broker` holds both to it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    KafkaTimeoutError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndTimestamp

from tests.simulation.broker import Publication, Record, SimulatedBroker, Unsent, size_of
from tests.simulation.database.errors import SimulationDefectError
from tests.simulation.group import Group

logger = logging.getLogger(__name__)

_RETRY_S: Final = 0.1


class Place(NamedTuple):
    """Where a sent record is."""

    topic: str
    partition: int
    offset: int


class _Client:
    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker
        self._loop = broker.loop
        self._closed = False

    def __getattr__(self, name: str) -> Any:
        raise SimulationDefectError(f"{type(self).__name__} does not simulate {name}")

    async def _travel(self, what: str) -> None:
        await self._reach_broker()
        await asyncio.sleep(self._broker.trouble.trip(what))

    async def _reach_broker(self) -> None:
        away_s = self._broker.trouble.away_until() - self._loop.time()
        if away_s > 0:
            await asyncio.sleep(away_s)


class SimulatedBatch:
    """The builder of a record batch."""

    def __init__(self, size_max: int) -> None:
        self.records: list[Unsent] = []
        self._size = 0
        self._size_max = size_max

    def append(
        self,
        *,
        timestamp: int | None,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int | None:
        """None if there is no room."""
        record = (timestamp, key, value, tuple(headers))
        size = size_of(record)
        if self.records and self._size + size > self._size_max:
            return None
        self._size += size
        self.records.append(record)
        return self._size

    def record_count(self) -> int:
        return len(self.records)


class _Sending(NamedTuple):
    batch: list[Unsent]
    sequence: int
    sent: "asyncio.Future[Place]"


class _Sender:
    """Sends batch after batch of each partition; what came first is answered first."""

    def __init__(self) -> None:
        self.tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self.closed = False

    async def close(self) -> None:
        self.closed = True
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connections:
    async def close(self) -> None:
        await asyncio.sleep(0)


class SimulatedProducer(_Client):
    """An idempotent producer: it numbers its batches, and never takes a number back."""

    def __init__(
        self, broker: SimulatedBroker, *, max_batch_size: int = 16_384, **_: object
    ) -> None:
        super().__init__(broker)
        self._max_batch_size = max_batch_size
        self._sender = _Sender()
        self.client = _Connections()
        self._number = 0
        self._sequences: dict[TopicPartition, int] = {}
        self._queues: dict[TopicPartition, deque[_Sending]] = {}

    async def start(self) -> None:
        await self._travel("connect")
        self._number = self._broker.new_producer()

    async def stop(self) -> None:
        """Wait for what is under way, then close."""
        self._closed = True
        await asyncio.gather(*self._sender.tasks.values(), return_exceptions=True)

    def create_batch(self) -> SimulatedBatch:
        return SimulatedBatch(self._max_batch_size)

    async def send_batch(
        self, batch: SimulatedBatch, topic: str, *, partition: int
    ) -> "asyncio.Future[Place]":
        return self._enqueue(TopicPartition(topic, partition), batch.records)

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> "asyncio.Future[Place]":
        return self._enqueue(
            TopicPartition(topic, partition), [(None, key, value, tuple(headers or ()))]
        )

    async def send_and_wait(self, *arguments: Any, **options: Any) -> Place:
        return await (await self.send(*arguments, **options))

    def _enqueue(self, place: TopicPartition, batch: list[Unsent]) -> "asyncio.Future[Place]":
        sequence = self._sequences.get(place, 0)
        self._sequences[place] = sequence + len(batch)
        sent: asyncio.Future[Place] = self._loop.create_future()
        queue = self._queues.setdefault(place, deque())
        queue.append(_Sending(batch, sequence, sent))
        sending = self._sender.tasks.get(place)
        if not self._sender.closed and (sending is None or sending.done()):
            self._sender.tasks[place] = asyncio.create_task(self._send_all(place, queue))
        return sent

    async def _send_all(self, place: TopicPartition, queue: deque[_Sending]) -> None:
        while queue:
            sending = queue.popleft()
            try:
                offset = await self._request(place, sending)
            except KafkaError as error:
                if not sending.sent.done():
                    sending.sent.set_exception(error)
                    # whoever sent it may be gone
                    sending.sent.exception()
                continue
            if not sending.sent.done():
                sending.sent.set_result(Place(place.topic, place.partition, offset))

    async def _request(self, place: TopicPartition, sending: _Sending) -> int:
        await self._reach_broker()
        publication = self._broker.trouble.publication(place.topic, place.partition)
        landed: asyncio.Future[int] = self._loop.create_future()
        # what has been sent lands whether or not its sender still lives
        self._loop.call_later(
            publication.lands_s,
            self._land,
            place,
            sending,
            publication,
            landed,
            context=self._broker.context,
        )
        if publication.answer_s is None:
            await asyncio.sleep(publication.unanswered_s)
            raise KafkaTimeoutError
        offset = await landed
        await asyncio.sleep(publication.answer_s)
        return offset

    def _land(
        self,
        place: TopicPartition,
        sending: _Sending,
        publication: Publication,
        landed: "asyncio.Future[int]",
    ) -> None:
        offset, error = -1, publication.refused
        if error is None:
            try:
                offset = self._broker.produce(
                    self._number, sending.sequence, place.topic, place.partition, sending.batch
                )
                if publication.repeated:
                    self._broker.produce_anew(place.topic, place.partition, sending.batch)
            except KafkaError as refusal:
                error = refusal
        if landed.done():
            return
        if error is None:
            landed.set_result(offset)
        else:
            landed.set_exception(error)
            landed.exception()


class _Position:
    __slots__ = ("offset", "paused")

    def __init__(self) -> None:
        self.offset: int | None = None
        self.paused = False


class SimulatedConsumer(_Client):
    """A consumer, in a group or outside of any."""

    def __init__(
        self,
        broker: SimulatedBroker,
        *topics: str,
        group_id: str | None = None,
        session_timeout_ms: int = 10_000,
        heartbeat_interval_ms: int = 3_000,
        **_: object,
    ) -> None:
        super().__init__(broker)
        self._topics = topics
        self._group_id = group_id
        self._session_s = session_timeout_ms / 1000
        self._heartbeat_s = heartbeat_interval_ms / 1000
        self._listener: Any = None
        self._positions: dict[TopicPartition, _Position] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._membership: _Membership | None = None
        self._reassigning: asyncio.Future[None] | None = None

    def subscribe(self, topics: Sequence[str], listener: Any = None) -> None:
        self._topics = tuple(topics)
        self._listener = listener

    async def start(self) -> None:
        await self._travel("connect")
        if self._group_id is not None:
            self._begin_reassignment()
            self._membership = _Membership(
                self, self._broker.group(self._group_id, self._topics[0]), self._listener
            )
            self._membership.start()

    async def stop(self) -> None:
        self._closed = True
        self._wake()
        if self._membership is not None:
            await self._membership.stop()

    def assign(self, places: Iterable[TopicPartition]) -> None:
        self._positions = {place: _Position() for place in places}

    def assignment(self) -> set[TopicPartition]:
        return set(self._positions)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        partitions = self._broker.topics.get(topic)
        return None if partitions is None else set(range(len(partitions)))

    def pause(self, *places: TopicPartition) -> None:
        for place in places:
            self._position(place).paused = True

    def resume(self, *places: TopicPartition) -> None:
        for place in places:
            self._position(place).paused = False
        self._wake()

    def paused(self) -> set[TopicPartition]:
        return {place for place, position in self._positions.items() if position.paused}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._position(place).offset = offset
        self._wake()

    async def position(self, place: TopicPartition) -> int:
        return self._offset(place, self._position(place))

    async def beginning_offsets(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        await self._travel("ends")
        return {place: self._broker.topics[place.topic][place.partition].begin for place in places}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await self._travel("ends")
        return {place: self._broker.topics[place.topic][place.partition].end for place in places}

    async def offsets_for_times(
        self, times: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        await self._travel("ends")
        return {place: self._first_since(place, at_ms) for place, at_ms in times.items()}

    def _first_since(self, place: TopicPartition, at_ms: int) -> OffsetAndTimestamp | None:
        for record in self._broker.topics[place.topic][place.partition].records:
            if record.timestamp >= at_ms:
                return OffsetAndTimestamp(record.offset, record.timestamp)
        return None

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        for place in offsets:
            self._position(place)
        if self._membership is None:
            raise IllegalStateError("no member of a group")
        await self._membership.commit({place: each.offset for place, each in offsets.items()})

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        """Records of what is assigned and not paused; {} once it is closed, or time is up."""
        if self._closed:
            raise ConsumerStoppedError
        deadline = self._loop.time() + timeout_ms / 1000
        while not self._closed:
            if self._reassigning is not None:
                await asyncio.shield(self._reassigning)
            if self._has_records(places):
                await self._travel("fetch")
                if self._reassigning is None and (found := self._take(places, max_records)):
                    return found
            remaining_s = deadline - self._loop.time()
            if remaining_s <= 0:
                return {}
            await self._wait(remaining_s)
        return {}

    async def _wait(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiter = waiter
        topics = self._topics or {place.topic for place in self._positions}
        for topic in topics:
            self._broker.wake_on_arrival(topic, waiter)
        late = self._loop.call_later(seconds, _set, waiter)
        try:
            await waiter
        finally:
            late.cancel()

    def _wake(self) -> None:
        if self._waiter is not None:
            _set(self._waiter)

    def _position(self, place: TopicPartition) -> _Position:
        position = self._positions.get(place)
        if position is None:
            raise IllegalStateError(f"Partition {place} is not assigned")
        return position

    def _offset(self, place: TopicPartition, position: _Position) -> int:
        if position.offset is None:
            committed = None
            if self._group_id is not None:
                group = self._broker.group(self._group_id, self._topics[0])
                committed = group.offsets.get(place)
            begin = self._broker.topics[place.topic][place.partition].begin
            position.offset = begin if committed is None else committed
        return position.offset

    def _has_records(self, places: Sequence[TopicPartition]) -> bool:
        for place, position in self._positions.items():
            if position.paused or (places and place not in places):
                continue
            stored = self._broker.topics[place.topic][place.partition]
            if self._offset(place, position) < stored.end:
                return True
        return False

    def _take(
        self, places: Sequence[TopicPartition], max_records: int | None
    ) -> dict[TopicPartition, list[Record]]:
        room = max_records or 1_000_000
        found: dict[TopicPartition, list[Record]] = {}
        for place in self._broker.in_any_order(self._positions):
            position = self._positions[place]
            if position.paused or (places and place not in places):
                continue
            stored = self._broker.topics[place.topic][place.partition]
            offset = self._offset(place, position)
            records = stored.from_offset(offset, room)
            if records:
                found[place] = records
                position.offset = records[-1].offset + 1
                room -= len(records)
                if room == 0:
                    break
            elif offset < stored.end:
                position.offset = stored.end
        return found

    def _begin_reassignment(self) -> None:
        if self._reassigning is None:
            self._reassigning = self._loop.create_future()

    def _end_reassignment(self, places: Sequence[TopicPartition]) -> None:
        self.assign(places)
        reassigning, self._reassigning = self._reassigning, None
        if reassigning is not None:
            reassigning.set_result(None)
        self._wake()


class _Membership:
    """A consumer's membership in its group: joining, heartbeats, and the listener's turns."""

    def __init__(self, consumer: SimulatedConsumer, group: Group, listener: Any) -> None:
        self._consumer = consumer
        self._group = group
        self._listener = listener
        self._member_id = ""
        self._generation = -1
        self._rejoin = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._heartbeats: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        await self._stop_heartbeats()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._member_id:
            await self._consumer._travel("leave")
            self._group.leave(self._member_id)

    async def _run(self) -> None:
        while True:
            self._consumer._begin_reassignment()
            await self._tell("on_partitions_revoked", self._consumer.assignment())
            await self._stop_heartbeats()
            self._rejoin.clear()
            places = await self._join_at_last()
            self._consumer._end_reassignment(places)
            # no heartbeats meanwhile
            await self._tell("on_partitions_assigned", set(places))
            self._heartbeats = asyncio.create_task(self._beat())
            await self._rejoin.wait()

    async def _tell(self, turn: str, places: set[TopicPartition]) -> None:
        if self._listener is None:
            return
        try:
            await getattr(self._listener, turn)(places)
        except Exception:
            logger.exception("listener failed in %s", turn)

    async def _join_at_last(self) -> list[TopicPartition]:
        while True:
            places = await self._join()
            if places is not None:
                return places
            await asyncio.sleep(_RETRY_S)

    async def _join(self) -> list[TopicPartition] | None:
        await self._consumer._travel("join")
        member = self._group.join(self._member_id, self._consumer._session_s)
        self._member_id = member.id
        if member.joining is not None:
            await asyncio.shield(member.joining)
        generation, places = self._group.generation, member.assigned
        await self._consumer._travel("join")
        try:
            self._group.heartbeat(self._member_id, generation)
        except UnknownMemberIdError:
            self._member_id = ""
            return None
        except (IllegalGenerationError, RebalanceInProgressError):
            return None
        self._generation = generation
        return places

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._consumer._heartbeat_s)
            await self._consumer._travel("heartbeat")
            try:
                self._group.heartbeat(self._member_id, self._generation)
            except RebalanceInProgressError:
                self._rejoin.set()
            except (UnknownMemberIdError, IllegalGenerationError):
                self._reset()
                return

    def _reset(self) -> None:
        self._member_id, self._generation = "", -1
        self._rejoin.set()

    async def _stop_heartbeats(self) -> None:
        heartbeats, self._heartbeats = self._heartbeats, None
        if heartbeats is not None:
            heartbeats.cancel()
            await asyncio.gather(heartbeats, return_exceptions=True)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        await self._consumer._travel("commit")
        try:
            self._group.commit(self._member_id, self._generation, offsets)
        except (UnknownMemberIdError, IllegalGenerationError) as error:
            if self._generation >= 0:
                self._reset()
            raise CommitFailedError from error
        await self._consumer._travel("commit")


def _set(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
