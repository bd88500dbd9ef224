"""Read models afresh: filled beside the live ones, compared with a replay, then flipped.

    reports = await rebuild(database_url, ["wallets", "lots"])

Several are filled together, so that an entry is read once for all of them, and compared with one
replay. Nobody but the rebuild fills the new generations, so that they stand still while they are
compared at the sizes that the shards had in the beginning. A rebuild that ends early, by an error or
a kill, leaves the live generations as they were, but for those that it has flipped, and the next one
begins by dropping what is left of it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from engine.replay import shard_sizes
from projections.catalog import (
    Live,
    create_generation,
    create_indexes,
    drop_unfinished,
    find_all_live,
    find_live,
    find_projection,
    lock_vectors,
    show,
)
from projections.comparison import Source, compare_shard
from projections.errors import FlipBlockedError, RebuildDiffersError, RebuildRunningError
from projections.models import Generation, Projection
from projections.projector import (
    RANGE_ENTRIES_MAX,
    ElsewhereError,
    Range,
    advance,
    read_behind,
    share_out,
    take_in,
)
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
    """A model that was flipped: `entries` were compared with a replay, at `compared_at`.

    `seconds` went by since the rebuild began.
    """

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
    database_url: str, names: Iterable[str], on_progress: OnProgress = _silently
) -> list[RebuildReport]:
    """Rebuild read models with everything running; readers never see a gap.

    Raises UnknownProjectionError, NotInstalledError, ReplayFailedError or a RebuildError. Then the
    live generations are as they were; but those before one that could not be flipped are new.
    """
    projections = [find_projection(name) for name in dict.fromkeys(names)]
    # the flip waits for the disk, and with it whatever came before
    fill = partial(
        connected, database_url, "wallet-rebuild fill", timeout_ms=None, waits_for_disk=False
    )
    async with (
        connected(database_url, "wallet-rebuild", timeout_ms=None) as connection,
        fill() as one,
        fill() as another,
    ):
        await _keep_others_away(connection, projections)
        return await _Rebuild(connection, (one, another), projections, on_progress).run()


async def _keep_others_away(
    connection: asyncpg.Connection, projections: Iterable[Projection]
) -> None:
    # the locks end with the connection
    for projection in projections:
        free = await connection.fetchval(
            "SELECT pg_try_advisory_lock($1, hashtext($2))", _LOCK_CLASS, projection.name
        )
        if not free:
            raise RebuildRunningError(
                f"{projection.name} is being rebuilt already; wait for that to end."
            )


class _Rebuild:
    """`filling`: further connections; so many shards are filled, or models indexed, at a time."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        filling: Sequence[asyncpg.Connection],
        projections: Sequence[Projection],
        on_progress: OnProgress,
    ) -> None:
        self._connection = connection
        self._filling = filling
        self._projections = projections
        self._on_progress = on_progress
        self._models: list[Generation] = []

    async def run(self) -> list[RebuildReport]:
        started = time.monotonic()
        live = await find_all_live(self._connection, self._projections)
        for projection in self._projections:
            await drop_unfinished(self._connection, projection)
        async with self._connection.transaction():
            for projection in self._projections:
                generation = await create_generation(self._connection, projection)
                self._models.append(Generation(projection, generation))
        vector = await shard_sizes(self._connection)
        await self._fill(vector)
        await self._index_all()
        await self._compare(vector)
        await self._catch_up(self._models)
        reports = []
        for model in self._models:
            await self._switch(model)
            reports.append(
                RebuildReport(
                    name=model.projection.name,
                    generation=model.number,
                    replaced=live[model.projection.name].generation,
                    entries=sum(vector.values()),
                    compared_at=vector,
                    seconds=time.monotonic() - started,
                )
            )
        return reports

    async def _fill(self, vector: dict[int, int]) -> None:
        """Take in every entry below the vector, and no other."""
        done, total = 0, sum(vector.values())

        async def work(connection: asyncpg.Connection, entries: Range) -> None:
            nonlocal done
            await take_in(connection, entries)
            done += entries.stop - entries.start
            self._tell("fill", done, total)

        while ranges := _below(vector, await self._behind(self._models, _FILL_ENTRIES_MAX)):
            await share_out(self._filling, ranges, work)

    async def _index_all(self) -> None:
        self._tell("index", 0, 0)
        await share_out(self._filling, self._models, _index)

    async def _compare(self, vector: dict[int, int]) -> None:
        differences = await self._differences(vector)
        if differences:
            tables = ", ".join(model.table(generation) for model, generation in self._models)
            raise RebuildDiffersError(
                "What was filled is not what a replay of the log gives, so readers keep what they "
                f"had: {' | '.join(differences)}. What is new, {tables}, is kept until the next "
                "rebuild; run `wallet verify` to see whether the log is sound."
            )

    async def _differences(self, vector: dict[int, int]) -> list[str]:
        done, total = 0, sum(vector.values())
        self._tell("compare", done, total)

        def note(entries: int) -> None:
            nonlocal done
            done += entries
            self._tell("compare", done, total)

        sources = [Source(*model) for model in self._models]
        found: list[str] = []
        for shard in vector:
            comparing = compare_shard(self._connection, shard, sources, note)
            async with aclosing(comparing):
                async for difference in comparing:
                    found.append(str(difference))
                    if len(found) == _DIFFERENCES_TOLD_MAX:
                        return found
        return found

    async def _switch(self, model: Generation) -> None:
        for _ in range(_FLIP_ATTEMPTS_MAX):
            await self._catch_up([model])
            self._tell("flip", 0, 0)
            try:
                if await self._flip(model):
                    return
            except (
                asyncpg.LockNotAvailableError,
                asyncpg.DeadlockDetectedError,
                ElsewhereError,
            ):
                await asyncio.sleep(_FLIP_BACK_OFF_S)
        raise FlipBlockedError(
            f"{model.projection.name} could not be switched within {_FLIP_ATTEMPTS_MAX} attempts: "
            "something reads it in a long transaction, or fills it faster than this. End that "
            "(see pg_stat_activity) and rebuild again."
        )

    async def _catch_up(self, models: Sequence[Generation]) -> None:
        """Come so near to the end of the log that the rest fits into the flip."""
        while ranges := await self._behind(models):
            for entries in ranges:
                await take_in(self._connection, entries)
            self._tell("catch_up", 0, sum(entries.size - entries.stop for entries in ranges))
            if all(entries.size - entries.start < RANGE_ENTRIES_MAX for entries in ranges):
                return

    async def _flip(self, model: Generation) -> bool:
        """Show the new generation, unless the live one is too far ahead of it."""
        projection, generation = model
        async with self._connection.transaction(isolation="read_committed"):
            await self._connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
            vectors = await lock_vectors(self._connection, projection)
            live = await find_live(self._connection, projection)
            missing = _missing(model, vectors, live)
            if sum(entries.stop - entries.start for entries in missing) > RANGE_ENTRIES_MAX:
                return False
            for entries in missing:
                await advance(self._connection, entries)
            await show(self._connection, projection, generation, before=live)
        return True

    async def _behind(
        self, models: Sequence[Generation], entries_max: int = RANGE_ENTRIES_MAX
    ) -> list[Range]:
        return await read_behind(self._connection, models, entries_max)

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        self._on_progress(RebuildProgress(stage, done, total))


async def _index(connection: asyncpg.Connection, model: Generation) -> None:
    projection, generation = model
    await create_indexes(connection, projection, generation)
    await connection.execute(f"ANALYZE {projection.table(generation)}")


def _missing(model: Generation, vectors: dict[int, dict[int, int]], live: Live) -> list[Range]:
    """What the live generation has and the new one lacks: readers must not go back."""
    new = vectors[model.number]
    return [
        Range((model,), shard, new.get(shard, 0), position, position)
        for shard, position in vectors[live.generation].items()
        if position > new.get(shard, 0)
    ]


def _below(vector: dict[int, int], ranges: list[Range]) -> list[Range]:
    """The parts of the ranges that are below the vector."""
    bounded = [
        entries._replace(stop=min(entries.stop, vector.get(entries.shard, 0)))
        for entries in ranges
    ]
    return [entries for entries in bounded if entries.start < entries.stop]
