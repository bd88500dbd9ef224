"""Puts the log of one shard on the events topic: in order, nothing left out, at least once.

What is appended is sent from memory. After a claim, and after any error, it goes on from the last
acknowledged position out of the log, with a new producer.

Kafka takes from anybody what it is sent. A process that was stopped for a while may have lost its shard
meanwhile, and what it appended with it if the database was restored, so it looks before it goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec
from aiokafka.errors import KafkaError

from engine.batch import Batch
from engine.events_topic import EventRecord, event_record, whole_commands
from engine.log import ShardLog
from engine.recent_entries import RecentEntries
from schemas.dead_letters import PUBLISHED_BYTES_MAX, PUBLISHED_KEY_BYTES_MAX, DeadLetter

logger = logging.getLogger(__name__)

BROKER_ERRORS: Final = (KafkaError, OSError, TimeoutError)
BATCH_BYTES_MAX: Final = 850 * 1024
PROOF_MAX_AGE: Final = timedelta(seconds=5)
"""How long ago the shard may at most have been seen to be the lease's when entries are sent."""

_PAGE_ENTRIES: Final = 5_000
_GATHERED_MAX: Final = 500
_GATHERING_S: Final = 0.02
_LETTERS_MAX: Final = 100
_BACK_OFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)

_encoder = msgspec.json.Encoder()


class EventProducer(Protocol):
    """Sends what one shard has to say."""

    async def publish(self, records: Sequence[EventRecord]) -> None: ...

    async def publish_dead_letter(self, key: bytes | None, value: bytes) -> None: ...

    async def close(self) -> None: ...


class Publisher:
    """Publishes one lease's shard. `published` covers acknowledged entries without a hole."""

    def __init__(
        self,
        log: ShardLog,
        connect: Callable[[], Awaitable[EventProducer]],
        *,
        published: int,
        committed: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._log = log
        self._connect = connect
        self._producer: EventProducer | None = None
        self._recent = RecentEntries()
        self._letters_waiting = True
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self.published = published
        self.committed = committed
        self._clock = clock
        self._proven_at: datetime | None = None
        self._gathering_until = 0.0

    def publish(self, batch: Batch, *, proven_at: datetime) -> None:
        """Take over what has just been committed: the shard was the lease's after `proven_at`."""
        self._proven_at = proven_at
        append = batch.append
        self._recent.add(
            list(
                map(
                    EventRecord,
                    range(append.from_position, append.to_position),
                    append.wallet_ids,
                    append.types,
                    [append.now] * len(append.data),
                    append.data,
                    batch.lasts,
                )
            )
        )
        self.committed = append.to_position
        self._letters_waiting |= bool(append.dead_letters)
        self._wake.set()

    @property
    def unpublished(self) -> int:
        """How many committed entries the broker has not acknowledged."""
        return self.committed - self.published

    async def wait_until_below(self, unpublished_max: int) -> None:
        """Wait while this many entries or more are unpublished."""
        while self.unpublished >= unpublished_max:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Publish until cancelled. Errors of the broker are waited out here."""
        failures = 0
        try:
            while True:
                await self._wait_for_work()
                await self._gather()
                try:
                    await self._publish_some()
                    failures = 0
                except BROKER_ERRORS as error:
                    back_off_s = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
                    failures += 1
                    logger.warning(
                        "publish_failed shard=%d position=%d: %r; again in %.1f s",
                        self._log.shard,
                        self.published,
                        error,
                        back_off_s,
                    )
                    await self._drop_producer()
                    await asyncio.sleep(back_off_s)
        finally:
            await self._drop_producer()

    async def _wait_for_work(self) -> None:
        while not self.unpublished and not self._letters_waiting:
            self._wake.clear()
            await self._wake.wait()

    async def _gather(self) -> None:
        """Let a few entries that follow others at once become more: a record batch costs by itself."""
        now = asyncio.get_running_loop().time()
        if now < self._gathering_until and self.unpublished < _GATHERED_MAX:
            await asyncio.sleep(self._gathering_until - now)
        self._gathering_until = asyncio.get_running_loop().time() + _GATHERING_S

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        # what was under way may or may not have landed, so the log says how to go on
        self._recent.clear()
        if producer is not None:
            await producer.close()

    async def _publish_some(self) -> None:
        if self._producer is None:
            self._producer = await self._connect()
        if self.unpublished:
            for group in whole_commands(await self._next_records(), BATCH_BYTES_MAX):
                await self._prove()
                await self._producer.publish(group)
                self.published = group[-1].position + 1
                self._progress.set()
        if self._letters_waiting:
            await self._publish_letters(self._producer)

    async def _prove(self) -> None:
        """Raises LeaseLostError if the shard has become another's."""
        while not self._is_proven():
            asked_at = self._clock()
            await self._log.check_lease()
            self._proven_at = asked_at

    def _is_proven(self) -> bool:
        if self._proven_at is None:
            return False
        return timedelta(0) <= self._clock() - self._proven_at <= PROOF_MAX_AGE

    async def _next_records(self) -> list[EventRecord]:
        if records := self._recent.take(self.published, BATCH_BYTES_MAX):
            return records
        start = self._recent.start
        until = self.committed if start is None else start
        entries = await self._log.read_entries(self.published, until, _PAGE_ENTRIES)
        return [event_record(entry) for entry in entries]

    async def _publish_letters(self, producer: EventProducer) -> None:
        self._letters_waiting = False
        try:
            while rows := await self._log.unpublished_dead_letters(_LETTERS_MAX):
                for row in rows:
                    payload, key = row["payload"], row["key"]
                    if key is not None:
                        key = key[:PUBLISHED_KEY_BYTES_MAX]
                    letter = DeadLetter(
                        shard=self._log.shard,
                        offset=row["record_offset"],
                        reason=row["reason"],
                        detail=row["detail"],
                        occurred_at=row["occurred_at"],
                        key=key,
                        payload=None if payload is None else payload[:PUBLISHED_BYTES_MAX],
                        payload_bytes=len(payload or b""),
                    )
                    await producer.publish_dead_letter(key, _encoder.encode(letter))
                offsets = [row["record_offset"] for row in rows]
                await self._log.mark_dead_letters_published(offsets)
        except BaseException:
            self._letters_waiting = True
            raise
