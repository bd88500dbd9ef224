"""Following the log with the live generation of one read model."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg

from projections.catalog import find_live
from projections.models import Projection
from projections.observation import NOBODY, Observer
from projections.projector import Range, read_behind, take_in
from projections.session import AWAY

logger = logging.getLogger(__name__)

_REST_S: Final = 0.2
"""Between rounds that nobody waits for: each has more entries then, and the engine the machine."""
_REFUSED_BACK_OFF_S: Final = 5.0


class Follower:
    """Takes in one range of each shard in turn; after a flip it goes on with the new generation.

    When there is no more it rests, but not while somebody waits for what it takes in.

    A shard that the database refuses something of is left alone for a few seconds; the others
    go on.
    """

    def __init__(
        self, projection: Projection, stop: asyncio.Event, observer: Observer = NOBODY
    ) -> None:
        self.projection = projection
        self._stop = stop
        self._observer = observer
        self._hurry = asyncio.Event()
        self._refused_until: dict[int, float] = {}
        self._told_of: int | None = None

    def hurry(self) -> None:
        """Look at the log at once instead of in a while: somebody waits."""
        self._hurry.set()

    async def run(
        self,
        connection: asyncpg.Connection,
        *,
        on_looked: Callable[[], None],
        on_moved: Callable[[int], None],
    ) -> None:
        """Keep up until `stop` is set; `on_moved` hears the shard after each commit.

        Raises one of AWAY, or NotInstalledError.
        """
        while not self._stop.is_set():
            self._hurry.clear()
            more = await self._look_once(connection, on_moved)
            on_looked()
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REST_S):
                        await self._hurry.wait()

    async def _look_once(
        self, connection: asyncpg.Connection, on_moved: Callable[[int], None]
    ) -> bool:
        """Whether there is more to take in."""
        live = await find_live(connection, self.projection)
        is_outdated = live.version != self.projection.version
        self._observer.outdated(self.projection.name, is_outdated=is_outdated)
        if is_outdated:
            self._tell_of_version(live.version)
            return False
        more = False
        for entries in await read_behind(connection, self.projection, live.generation):
            if self._stop.is_set():
                break
            if time.monotonic() < self._refused_until.get(entries.shard, 0):
                continue
            more |= entries.stop < entries.size
            if await self._take_in(connection, live.generation, entries):
                on_moved(entries.shard)
        return more

    async def _take_in(
        self, connection: asyncpg.Connection, generation: int, entries: Range
    ) -> bool:
        start = time.perf_counter()
        try:
            moved = await take_in(connection, self.projection, generation, entries)
        except AWAY:
            raise
        except asyncpg.PostgresError as error:
            self._refused_until[entries.shard] = time.monotonic() + _REFUSED_BACK_OFF_S
            logger.error(
                "%s: the database refuses entries %d to %d of shard %d (%s: %s); "
                "trying again in %.0f s",
                self.projection.name,
                entries.start,
                entries.stop - 1,
                entries.shard,
                type(error).__name__,
                error,
                _REFUSED_BACK_OFF_S,
            )
            self._observer.refused(self.projection.name)
            return False
        if moved:
            seconds = time.perf_counter() - start
            self._observer.took_in(self.projection.name, entries.stop - entries.start, seconds)
        return moved

    def _tell_of_version(self, version: int) -> None:
        if self._told_of != version:
            self._told_of = version
            logger.warning(
                "%s: readers see version %d and this release fills version %d; "
                "run `wallet rebuild %s`",
                self.projection.name,
                version,
                self.projection.version,
                self.projection.name,
            )
