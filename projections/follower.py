"""Following the log with the live generations of the read models."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import asyncpg

from projections.catalog import find_all_live
from projections.models import Generation, Projection
from projections.observation import NOBODY, Observer
from projections.projector import Range, read_behind, share_out, take_in
from projections.session import AWAY

logger = logging.getLogger(__name__)

_REST_S: Final = 0.2
"""Between rounds that nobody waits for: each has more entries then, and the engine the machine."""
_REFUSED_BACK_OFF_S: Final = 5.0


class Follower:
    """Takes in one range of each shard in turn; after a flip it goes on with the new generation.

    Models that stand at the same position take it in together, the others by themselves until they
    have come to the end of the log. When there is no more it rests, but not while somebody waits for
    what it takes in.

    What the database refuses is tried with each of the models. A shard of which it refuses something
    for one is left alone by that one for a few seconds; the others go on.
    """

    def __init__(
        self,
        projections: Iterable[Projection],
        stop: asyncio.Event,
        observer: Observer = NOBODY,
    ) -> None:
        self._projections = list(projections)
        self._stop = stop
        self._observer = observer
        self._hurry = asyncio.Event()
        self._refused_until: dict[tuple[str, int], float] = {}
        self._told_of: dict[str, int] = {}

    def hurry(self) -> None:
        """Look at the log at once instead of in a while: somebody waits."""
        self._hurry.set()

    async def run(
        self,
        connections: Sequence[asyncpg.Connection],
        *,
        on_looked: Callable[[], None],
        on_moved: Callable[[int], None],
    ) -> None:
        """Keep up until `stop` is set; `on_moved` hears the shard after each commit.

        As many ranges are taken in at a time as there are connections. Raises one of AWAY, or
        NotInstalledError.
        """
        while not self._stop.is_set():
            self._hurry.clear()
            more = await self._look_once(connections, on_moved)
            on_looked()
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REST_S):
                        await self._hurry.wait()

    async def _look_once(
        self, connections: Sequence[asyncpg.Connection], on_moved: Callable[[int], None]
    ) -> bool:
        """Whether there is more to take in."""
        live = await self._live(connections[0])
        ranges = [
            entries._replace(models=models)
            for entries in await read_behind(connections[0], live)
            if (models := self._accepting(entries))
        ]

        async def work(connection: asyncpg.Connection, entries: Range) -> None:
            if not self._stop.is_set() and await self._take_in(connection, entries):
                on_moved(entries.shard)

        await share_out(connections[: len(ranges)], ranges, work)
        return any(entries.stop < entries.size for entries in ranges)

    async def _live(self, connection: asyncpg.Connection) -> list[Generation]:
        """Of those that this release fills."""
        found = await find_all_live(connection, self._projections)
        models = []
        for projection in self._projections:
            live = found[projection.name]
            is_outdated = live.version != projection.version
            self._observer.outdated(projection.name, is_outdated=is_outdated)
            if is_outdated:
                self._tell_of_version(projection, live.version)
            else:
                models.append(Generation(projection, live.generation))
        return models

    def _accepting(self, entries: Range) -> tuple[Generation, ...]:
        """The models that nothing of the shard has just been refused for."""
        now = time.monotonic()
        return tuple(
            model
            for model in entries.models
            if now >= self._refused_until.get((model.projection.name, entries.shard), 0)
        )

    async def _take_in(self, connection: asyncpg.Connection, entries: Range) -> bool:
        """Whether any of the models has moved."""
        start = time.perf_counter()
        try:
            moved = await take_in(connection, entries)
        except AWAY:
            raise
        except asyncpg.PostgresError as error:
            if len(entries.models) == 1:
                self._note_refusal(entries, error)
                return False
            each = [entries._replace(models=(model,)) for model in entries.models]
            return any([await self._take_in(connection, alone) for alone in each])
        if moved:
            seconds = time.perf_counter() - start
            for projection, _ in entries.models:
                self._observer.took_in(projection.name, entries.stop - entries.start, seconds)
        return moved

    def _note_refusal(self, entries: Range, error: asyncpg.PostgresError) -> None:
        name = entries.models[0].projection.name
        self._refused_until[name, entries.shard] = time.monotonic() + _REFUSED_BACK_OFF_S
        logger.error(
            "%s: the database refuses entries %d to %d of shard %d (%s: %s); "
            "trying again in %.0f s",
            name,
            entries.start,
            entries.stop - 1,
            entries.shard,
            type(error).__name__,
            error,
            _REFUSED_BACK_OFF_S,
        )
        self._observer.refused(name)

    def _tell_of_version(self, projection: Projection, version: int) -> None:
        if self._told_of.get(projection.name) != version:
            self._told_of[projection.name] = version
            logger.warning(
                "%s: readers see version %d and this release fills version %d; "
                "run `wallet rebuild %s`",
                projection.name,
                version,
                projection.version,
                projection.name,
            )
