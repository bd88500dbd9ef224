"""A read model afresh: filled beside the live one, compared with a replay, then flipped.

    report = await rebuild(database_url, "wallets")

Nobody but the rebuild fills the new generation, so that it stands still while it is compared at
the sizes that the shards had in the beginning. A rebuild that ends early, by an error or a kill,
leaves the live generation as it was, and the next one begins by dropping what is left of it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from engine.replay import shard_sizes
from projections.catalog import (
    Live,
    create_generation,
    create_indexes,
    drop_unfinished,
    find_live,
    find_projection,
    lock_vectors,
    show,
)
from projections.comparison import Source, compare_shard
from projections.errors import FlipBlockedError, RebuildDiffersError, RebuildRunningError
from projections.models import Projection
from projections.projector import RANGE_ENTRIES_MAX, Range, advance, read_behind, take_in
from projections.session import connected

Stage = Literal["fill", "index", "compare", "catch_up", "flip"]

_FILL_ENTRIES_MAX: Final = 20_000
"""Of a shard in one transaction: a wallet's rows are written once for all of its entries there."""

_LOCK_CLASS: Final = 0x77616C6C
_LOCK_TIMEOUT_MS: Final = 1_000
_FLIP_ATTEMPTS_MAX: Final = 60
_FLIP_BACK_OFF_S: Final = 0.25
_DIFFERENCES_TOLD_MAX: Final = 3


class RebuildProgress(Struct, frozen=True):
    """`done` of `total` entries in this stage; both are 0 where entries aren't what is done."""

    stage: Stage
    done: int
    total: int


class RebuildReport(Struct, frozen=True, kw_only=True):
    """A rebuild that went through: `entries` were compared with a replay, at `compared_at`."""

    name: str
    generation: int
    replaced: int
    entries: int
    compared_at: dict[int, int]
    seconds: float


OnProgress = Callable[[RebuildProgress], None]


def _silently(_progress: RebuildProgress) -> None:
    pass


async def rebuild(
    database_url: str, name: str, on_progress: OnProgress = _silently
) -> RebuildReport:
    """Rebuild one read model with everything running; readers never see a gap.

    Raises UnknownProjectionError, NotInstalledError, ReplayFailedError or a RebuildError, and then
    the live generation is as it was.
    """
    projection = find_projection(name)
    async with (
        connected(database_url, "wallet-rebuild", timeout_ms=None) as connection,
        _alone(connection, projection),
        connected(database_url, "wallet-rebuild fill", timeout_ms=None) as beside,
    ):
        return await _Rebuild(connection, beside, projection, on_progress).run()


@asynccontextmanager
async def _alone(connection: asyncpg.Connection, projection: Projection) -> AsyncIterator[None]:
    # the lock ends with the connection
    free = await connection.fetchval(
        "SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK_CLASS, projection.name
    )
    if not free:
        raise RebuildRunningError(
            f"{projection.name} is being rebuilt already; wait for that to end."
        )
    yield


class _Rebuild:
    """`beside`: a second connection, for two shards are filled at a time."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        beside: asyncpg.Connection,
        projection: Projection,
        on_progress: OnProgress,
    ) -> None:
        self._connection = connection
        self._beside = beside
        self._projection = projection
        self._on_progress = on_progress
        self._generation = 0

    async def run(self) -> RebuildReport:
        started = time.monotonic()
        live = await find_live(self._connection, self._projection)
        await drop_unfinished(self._connection, self._projection)
        async with self._connection.transaction():
            self._generation = await create_generation(self._connection, self._projection)
        vector = await shard_sizes(self._connection)
        await self._fill(vector)
        self._tell("index", 0, 0)
        await create_indexes(self._connection, self._projection, self._generation)
        await self._connection.execute(f"ANALYZE {self._projection.table(self._generation)}")
        await self._compare(vector)
        await self._switch()
        return RebuildReport(
            name=self._projection.name,
            generation=self._generation,
            replaced=live.generation,
            entries=sum(vector.values()),
            compared_at=vector,
            seconds=time.monotonic() - started,
        )

    async def _fill(self, vector: dict[int, int]) -> None:
        """Take in every entry below the vector, and no other."""
        done, total = 0, sum(vector.values())

        async def work(connection: asyncpg.Connection, ranges: list[Range]) -> None:
            nonlocal done
            while ranges:
                entries = ranges.pop()
                await take_in(connection, self._projection, self._generation, entries)
                done += entries.stop - entries.start
                self._tell("fill", done, total)

        try:
            while ranges := _below(vector, await self._behind(_FILL_ENTRIES_MAX)):
                async with asyncio.TaskGroup() as group:
                    for connection in (self._connection, self._beside):
                        group.create_task(work(connection, ranges))
        except ExceptionGroup as errors:
            # what ends one ends the other, so that the first is the cause
            raise errors.exceptions[0] from errors

    async def _compare(self, vector: dict[int, int]) -> None:
        differences = await self._differences(vector)
        if differences:
            raise RebuildDiffersError(
                f"Generation {self._generation} is not what a replay of the log gives, so readers "
                f"keep the one before: {' | '.join(differences)}. "
                f"{self._projection.table(self._generation)} is kept until the next rebuild; "
                "run `wallet verify` to see whether the log is sound."
            )

    async def _differences(self, vector: dict[int, int]) -> list[str]:
        done, total = 0, sum(vector.values())
        self._tell("compare", done, total)

        def note(entries: int) -> None:
            nonlocal done
            done += entries
            self._tell("compare", done, total)

        source = Source(self._projection, self._generation)
        found: list[str] = []
        for shard in vector:
            comparing = compare_shard(self._connection, shard, [source], note)
            async with aclosing(comparing):
                async for difference in comparing:
                    found.append(str(difference))
                    if len(found) == _DIFFERENCES_TOLD_MAX:
                        return found
        return found

    async def _switch(self) -> None:
        for _ in range(_FLIP_ATTEMPTS_MAX):
            await self._catch_up()
            self._tell("flip", 0, 0)
            try:
                if await self._flip():
                    return
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(_FLIP_BACK_OFF_S)
        raise FlipBlockedError(
            f"{self._projection.name} could not be switched within {_FLIP_ATTEMPTS_MAX} attempts: "
            "something reads it in a long transaction, or fills it faster than this. End that "
            "(see pg_stat_activity) and rebuild again."
        )

    async def _catch_up(self) -> None:
        """Come so near to the end of the log that the rest fits into the flip."""
        while ranges := await self._behind():
            for entries in ranges:
                await self._take_in(entries)
            self._tell("catch_up", 0, sum(entries.size - entries.stop for entries in ranges))
            if all(entries.size - entries.start < RANGE_ENTRIES_MAX for entries in ranges):
                return

    async def _flip(self) -> bool:
        """Show the new generation, unless the live one is too far ahead of it."""
        async with self._connection.transaction(isolation="read_committed"):
            await self._connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            vectors = await lock_vectors(self._connection, self._projection)
            live = await find_live(self._connection, self._projection)
            missing = self._missing(vectors, live)
            if sum(entries.stop - entries.start for entries in missing) > RANGE_ENTRIES_MAX:
                return False
            for entries in missing:
                if not await advance(
                    self._connection, self._projection, self._generation, entries
                ):
                    return False
            await show(self._connection, self._projection, self._generation, before=live)
        return True

    def _missing(self, vectors: dict[int, dict[int, int]], live: Live) -> list[Range]:
        """What the live generation has and the new one lacks: readers must not go back."""
        new = vectors[self._generation]
        return [
            Range(shard, new.get(shard, 0), position, position)
            for shard, position in vectors[live.generation].items()
            if position > new.get(shard, 0)
        ]

    async def _behind(self, entries_max: int = RANGE_ENTRIES_MAX) -> list[Range]:
        return await read_behind(self._connection, self._projection, self._generation, entries_max)

    async def _take_in(self, entries: Range) -> None:
        await take_in(self._connection, self._projection, self._generation, entries)

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        self._on_progress(RebuildProgress(stage, done, total))


def _below(vector: dict[int, int], ranges: list[Range]) -> list[Range]:
    """The parts of the ranges that are below the vector."""
    bounded = [
        entries._replace(stop=min(entries.stop, vector.get(entries.shard, 0)))
        for entries in ranges
    ]
    return [entries for entries in bounded if entries.start < entries.stop]
