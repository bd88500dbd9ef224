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
from projections.projector import Range, read_behind, take_in
from projections.session import AWAY

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.25
_REST_S: Final = 0.05
"""Before a round that nobody waits for, so that it has more entries and the engine the machine."""
_REFUSED_BACK_OFF_S: Final = 5.0


class Follower:
    """Takes in one range of each shard in turn; after a flip it goes on with the new generation.

    Before a round it rests, unless somebody waits for what it takes in.

    A shard that the database refuses something of is left alone for a few seconds; the others
    go on.
    """

    def __init__(self, projection: Projection, stop: asyncio.Event) -> None:
        self.projection = projection
        self._stop = stop
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._refused_until: dict[int, float] = {}
        self._told_of: int | None = None

    def look(self) -> None:
        """Look at the log at once instead of in a while."""
        self._wake.set()

    def hurry(self) -> None:
        """Look at once, and without a rest: somebody waits."""
        self._wake.set()
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
            self._wake.clear()
            self._hurry.clear()
            more = await self._look_once(connection, on_moved)
            on_looked()
            if not more:
                await _set_within(self._wake, _POLL_S)
                await _set_within(self._hurry, _REST_S)

    async def _look_once(
        self, connection: asyncpg.Connection, on_moved: Callable[[int], None]
    ) -> bool:
        """Whether there is more to take in."""
        live = await find_live(connection, self.projection)
        if live.version != self.projection.version:
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
        try:
            return await take_in(connection, self.projection, generation, entries)
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
            return False

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


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
