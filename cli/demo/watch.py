"""What the database says about how far everything is."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from asyncpg import Connection

from cli.demo.narration import Update
from cli.errors import DemoFailedError
from engine.replay import FINAL_AFTER
from engine.sql import load_queries

QUERIES = load_queries(Path(__file__).with_name("demo.sql"))

_POLL_S: Final = 0.05
_STALLED_S: Final = 60.0
_RATE_WINDOW_S: Final = 1.0


class Decided(NamedTuple):
    """How many records of each partition are decided, and who owns its shard."""

    offsets: dict[int, int]
    owners: dict[int, str]

    @property
    def total(self) -> int:
        return sum(self.offsets.values())


class Watch:
    """Polls through one connection. `check` raises if something has ended that should not."""

    def __init__(self, connection: Connection, check: Callable[[], None]) -> None:
        self._connection = connection
        self._check = check
        self._samples: list[tuple[float, int]] = []

    async def decided(self) -> Decided:
        """How far every partition is decided now."""
        rows = await self._connection.fetch(QUERIES["decided"])
        decided = Decided(
            {row["shard"]: row["next_offset"] for row in rows},
            {row["shard"]: row["owner"] for row in rows if row["owner"] is not None},
        )
        self._samples.append((time.monotonic(), decided.total))
        return decided

    @property
    def best_rate(self) -> float:
        """The most records that were decided in any second, of what has been polled."""
        best, first = 0.0, 0
        for at, total in self._samples:
            while at - self._samples[first][0] > _RATE_WINDOW_S:
                first += 1
            best = max(best, (total - self._samples[first][1]) / _RATE_WINDOW_S)
        return best

    async def until_decided(self, ends: Mapping[int, int], update: Update) -> None:
        """Wait until each partition is decided up to its end."""

        async def undecided() -> int:
            decided = await self.decided()
            update(decided.total)
            return sum(max(end - decided.offsets.get(shard, 0), 0) for shard, end in ends.items())

        await self._until_none("records are not decided", undecided)

    async def until_published_and_projected(self) -> None:
        """Wait until every entry is on the events topic and in every read model."""

        async def behind() -> int:
            (row,) = await self._connection.fetch(QUERIES["behind"])
            return int(row["unpublished"] + row["unprojected"])

        await self._until_none("entries are not published or not in a read model", behind)

    async def until_expired(self, moment: datetime) -> int:
        """Wait until every lot that runs out before `moment` has its entry; how many have."""

        async def running_out() -> int:
            return int(await self._connection.fetchval(QUERIES["running_out"], moment))

        await self._until_none("lots have not expired", running_out)
        return int(await self._connection.fetchval(QUERIES["expired"]))

    async def final_at(self) -> datetime:
        """From when on no entry can come any more that is as old as the last one."""
        last: datetime = await self._connection.fetchval(QUERIES["last_entry"])
        return last + FINAL_AFTER

    async def until(self, moment: datetime) -> None:
        """Wait for the database's clock."""

        async def to_come() -> int:
            return (moment - await self.now()) // timedelta(milliseconds=1) + 1

        await self._until_none("milliseconds are to pass", to_come)

    async def now(self) -> datetime:
        """The database's clock."""
        now: datetime = await self._connection.fetchval(QUERIES["clock"])
        return now

    async def _until_none(self, what: str, count: Callable[[], Awaitable[int]]) -> None:
        deadline = time.monotonic() + _STALLED_S
        least = None
        while (left := await count()) > 0:
            self._check()
            if least is None or left < least:
                least, deadline = left, time.monotonic() + _STALLED_S
            if time.monotonic() > deadline:
                raise DemoFailedError(f"{left:,} {what}, and for {_STALLED_S:.0f} s none was")
            await asyncio.sleep(_POLL_S)
