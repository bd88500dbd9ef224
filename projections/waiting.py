"""Waiting until a command is decided and the read models show what it did.

    watch = ShardWatch(pool)
    group.create_task(watch.run())
    watch.subscribe_to(listener)
    await watch.wait_until_shown(Place.parse("2:77"), WALLET_MODELS)

Notifications only say when to look. What counts is read from the database, for everybody who
waits in one query, and without notifications at an interval.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import asyncpg
from msgspec import Struct

from engine.notifier import CHANNEL as LOG_CHANNEL
from engine.sql import load_queries
from projections.errors import ProjectionError
from projections.listening import Listener
from projections.queries import EntryPlace, reaching_database
from projections.signals import MODELS_CHANNEL, READERS_CHANNEL

_CHANNELS = (LOG_CHANNEL, MODELS_CHANNEL)
_OFFSET_MAX = 2**63 - 1
_PLACE = re.compile(r"(0|[1-9][0-9]{0,3}):(0|[1-9][0-9]{0,18})", re.ASCII)
_QUERIES = load_queries(Path(__file__).with_name("queries.sql"))


class UnknownPartitionError(ProjectionError):
    """No command can ever stand in a partition of this number."""

    code = "unknown_partition"


class Place(NamedTuple):
    """Where a producer was told that its command stands."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<partition>:<offset>`; raises ValueError for anything else."""
        match = _PLACE.fullmatch(text)
        if match is None or int(match[2]) > _OFFSET_MAX:
            raise ValueError(f"{text[:40]!r} is not <partition>:<offset>")
        return cls(int(match[1]), int(match[2]))


class Progress(Struct, frozen=True):
    """A shard and its read models at one moment.

    The first offset not decided, the number of entries in the log, and the number in each model.
    """

    next_offset: int
    position: int
    models: dict[str, int]


class _Waiter(NamedTuple):
    shard: int
    reached: Callable[[Progress], bool]
    answer: asyncio.Future[Progress]

    def settle(self, progress: Progress | None) -> None:
        if progress is not None and not self.answer.done() and self.reached(progress):
            self.answer.set_result(progress)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class ShardWatch:
    """Looks at the shards that somebody waits for, as long as somebody does."""

    def __init__(self, pool: asyncpg.Pool, *, poll_interval_s: float = 0.25) -> None:
        self._pool = pool
        self._poll_interval_s = poll_interval_s
        self._waiters: set[_Waiter] = set()
        self._look_again = asyncio.Event()

    async def wait_until_shown(self, place: Place, models: Sequence[str]) -> None:
        """Return once the command at `place` is decided and `models` show its effect.

        It has no deadline of its own. Raises UnknownPartitionError, and DatabaseAwayError as soon
        as the database is.
        """
        await self._check_partition(place.partition)
        shard, decided = place.partition, await self._decided(place)
        home = await self._forward(place)
        if home is not None:
            shard, decided = home.partition, await self._decided(home)
        await self._hurry()
        await self._until(
            shard, lambda now: all(now.models.get(m, 0) >= decided.position for m in models)
        )

    async def wait_until_taken_in(self, entry: EntryPlace, models: Sequence[str]) -> None:
        """Return once `models` have the entry.

        It has no deadline of its own. Raises DatabaseAwayError as soon as the database is away.
        """
        await self._hurry()
        await self._until(
            entry.shard, lambda now: all(now.models.get(m, 0) > entry.position for m in models)
        )

    def subscribe_to(self, listener: Listener) -> None:
        """Look whenever the log or a model has moved."""
        listener.subscribe(dict.fromkeys(_CHANNELS, lambda _: self.look()), begun=self.look)

    def look(self) -> None:
        """Something may have changed."""
        self._look_again.set()

    async def run(self) -> None:
        """Answer those who wait; until it is cancelled."""
        while True:
            await self._next_look()
            self._look_again.clear()
            if self._waiters:
                await self._answer(tuple(self._waiters))

    async def _answer(self, waiters: tuple[_Waiter, ...]) -> None:
        try:
            progress = await self._progress({waiter.shard for waiter in waiters})
        except Exception as error:  # noqa: BLE001 - it is for those who wait, not the end of waits
            for waiter in waiters:
                waiter.fail(error)
        else:
            for waiter in waiters:
                waiter.settle(progress.get(waiter.shard))

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(self._poll_interval_s if self._waiters else None):
                await self._look_again.wait()
        except TimeoutError:
            return

    async def _hurry(self) -> None:
        """Have the projector not rest."""
        await self._fetch("hurry", READERS_CHANNEL)

    async def _decided(self, place: Place) -> Progress:
        return await self._until(place.partition, lambda now: now.next_offset > place.offset)

    async def _until(self, shard: int, reached: Callable[[Progress], bool]) -> Progress:
        waiter = _Waiter(shard, reached, asyncio.get_running_loop().create_future())
        self._waiters.add(waiter)
        self.look()
        try:
            return await waiter.answer
        finally:
            self._waiters.discard(waiter)

    async def _progress(self, shards: Iterable[int]) -> dict[int, Progress]:
        found: dict[int, Progress] = {}
        for row in await self._fetch("progress", list(shards)):
            models = {} if row["model"] is None else {row["model"]: row["model_position"]}
            known = found.get(row["shard"])
            if known is not None:
                models |= known.models
            found[row["shard"]] = Progress(row["next_offset"], row["position"], models)
        return found

    async def _check_partition(self, partition: int) -> None:
        for row in await self._fetch("partitions"):
            if partition >= row["partitions"]:
                raise UnknownPartitionError(
                    f"there is no partition {partition}, only 0 to {row['partitions'] - 1}"
                )

    async def _forward(self, place: Place) -> Place | None:
        rows = await self._fetch("forward", place.partition, place.offset)
        return Place(rows[0]["home"], rows[0]["home_offset"]) if rows else None

    async def _fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        with reaching_database():
            return await self._pool.fetch(_QUERIES[query], *arguments)
