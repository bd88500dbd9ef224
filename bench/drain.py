"""How fast engines work off a topic that was filled beforehand."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Self

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.errors import BenchError
from cli.readiness import raise_if_ended
from cli.stack import ManagedProcess
from engine.kafka import client_options
from engine.settings import Settings

_POLL_S = 0.01
_STALL_S_MAX = 60

_PROGRESS = """
SELECT coalesce(sum(next_offset), 0)::bigint AS decided,
       coalesce(sum(position), 0)::bigint AS entries,
       max(halted) AS halted
  FROM shards
"""
ALL_PUBLISHED = "SELECT bool_and(published = position) FROM shards"
ALL_VISIBLE = "SELECT NOT EXISTS (SELECT FROM live_checkpoints WHERE position < log_position)"


class Drain(NamedTuple):
    """Times in seconds from the first commit that was seen, and the commands since.

    `entries` are all that came of the whole topic.
    `committed_s`: until the last commit; `published_s`: until the last entry stood on the events
    topic; `visible_s`: until it was in the read models as well, None where nobody waited for that.
    """

    commands: int
    entries: int
    committed_s: float
    published_s: float
    visible_s: float | None

    @property
    def commands_per_s(self) -> float:
        """From the first commit to the last entry published."""
        return self.commands / self.published_s


class Watch:
    """Sees how far the shards of a database and their events topic are."""

    def __init__(self, database: asyncpg.Connection, topics: AIOKafkaConsumer, topic: str) -> None:
        self._database = database
        self._topics = topics
        self._topic = topic
        self._processes: Sequence[ManagedProcess] = ()
        self._moved_at = time.monotonic()
        self._entries_before = 0
        self._published_before = 0
        self.decided = 0
        self.entries = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, settings: Settings) -> AsyncIterator[Self]:
        """Counts entries from now on."""
        database = await asyncpg.connect(settings.database_url)
        topics = AIOKafkaConsumer(**client_options(settings))
        try:
            await topics.start()
            watch = cls(database, topics, settings.events_topic)
            await watch._begin(settings.partitions)
            yield watch
        finally:
            await topics.stop()
            await database.close()

    async def _begin(self, partitions: int) -> None:
        self._places = [TopicPartition(self._topic, number) for number in range(partitions)]
        row = await self._database.fetchrow(_PROGRESS)
        assert row is not None
        self.decided, self._entries_before = row["decided"], row["entries"]
        self._published_before = await self._on_topic()
        # what was written before is not to be paid for while the clock runs
        await self._database.execute("CHECKPOINT")

    def expect(self, processes: Sequence[ManagedProcess]) -> None:
        """These do the work from now on, and are not to end."""
        self._processes = processes
        self._moved_at = time.monotonic()

    async def until_decided(self, commands: int) -> None:
        """Wait until the shards have decided so many commands, since ever."""
        while self.decided < commands:
            await self.look()

    async def until_published(self) -> None:
        """Wait until all entries that have been seen are on the events topic."""
        await self.look()
        while not await self.is_published():
            await self.look()

    async def is_published(self) -> bool:
        """Whether all entries that have been seen are on the events topic."""
        return await self._on_topic() - self._published_before >= self.entries

    async def is_visible(self) -> bool:
        """Whether all entries are in the read models."""
        visible: bool = await self._database.fetchval(ALL_VISIBLE)
        return visible

    async def _on_topic(self) -> int:
        return sum((await self._topics.end_offsets(self._places)).values())

    async def look(self) -> None:
        """See a moment later how far the shards are; raises if nothing goes on any more."""
        await asyncio.sleep(_POLL_S)
        raise_if_ended(self._processes)
        row = await self._database.fetchrow(_PROGRESS)
        assert row is not None
        if row["halted"] is not None:
            raise BenchError(f"a shard has stopped: {row['halted']}")
        if row["decided"] > self.decided:
            self._moved_at = time.monotonic()
        elif time.monotonic() > self._moved_at + _STALL_S_MAX:
            raise BenchError(f"nothing has been decided or taken in for {_STALL_S_MAX} s")
        self.decided, self.entries = row["decided"], row["entries"] - self._entries_before


async def time_drain(watch: Watch, until: int, *, warm_up: int, visible: bool) -> Drain:
    """How long it takes from `warm_up` commands (or the first) to `until`, counted since ever."""
    await watch.until_decided(watch.decided + max(1, warm_up))
    start, counted_from = time.perf_counter(), watch.decided
    if counted_from >= until:
        raise BenchError("all was decided before the clock started: measure more commands")
    await watch.until_decided(until)
    committed_s = time.perf_counter() - start
    published_s = visible_s = None
    while published_s is None or (visible and visible_s is None):
        await watch.look()
        if published_s is None and await watch.is_published():
            published_s = time.perf_counter() - start
        if visible and visible_s is None and await watch.is_visible():
            visible_s = time.perf_counter() - start
    return Drain(until - counted_from, watch.entries, committed_s, published_s, visible_s)
