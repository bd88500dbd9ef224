"""Finds out how far a shard can be rolled forward, and whether it may be; writes nothing.

Every byte that would be appended is checked here first, so that a shard is rolled forward as a
whole or not at all.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import asyncpg
from msgspec import Struct

from engine.errors import ShardHaltedError
from engine.fit import check_commands
from engine.inspection import TopicInspector
from engine.log import ShardRow
from engine.rollforward.errors import EntryRefusedError, RollForwardError, TopicTooShortError
from engine.rollforward.restored_log import QUERIES, check_log, compare_with_log
from engine.rollforward.suffix import Suffix
from engine.rollforward.topic_reader import Extent, TopicReader
from engine.settings import Settings

_CLOCKS_DIFFER: Final = timedelta(hours=1)
"""A topic may stamp its records by the broker's clock. What this does not cover is found missing,
and then looked for from the beginning."""

_LATER: Final = (
    "Restore the database to a later point, or bring the records back from a mirror of the topic."
)


class ShardPlan(Struct, frozen=True, kw_only=True):
    """What rolling one shard forward comes to.

    `row` is the shard as it was restored. Afterwards it has `position` entries, the last one of
    `last_at`, under the Merkle root `root`. `undecided` counts the records that the engine takes up
    again from `row.next_offset`. What is appended stands in the events topic from offset `start`
    on, before `stop`; `marks` are the beginnings of its leaf hashes.
    """

    row: ShardRow
    position: int
    root: bytes
    last_at: datetime
    undecided: int
    start: int
    stop: int
    marks: bytes

    @property
    def shard(self) -> int:
        return self.row.shard

    @property
    def entries(self) -> int:
        """How many entries are appended."""
        return self.position - self.row.position


OnProgress = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and of how much."""


class Examination:
    """Examines one shard after the other."""

    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        reader: TopicReader,
        inspector: TopicInspector,
        on_progress: OnProgress,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._reader = reader
        self._inspector = inspector
        self._on_progress = on_progress

    async def shard(self, row: ShardRow) -> ShardPlan:
        """Raises RollForwardError if the shard can't be rolled forward as things are."""
        told = partial(self._on_progress, f"hashing the log of shard {row.shard}")
        await check_log(self._connection, row, lambda done: told(done, row.position))
        commands = await self._commands(row)
        extent = await self._reader.extent(self._settings.events_topic, row.shard)
        suffix = await self._published(row, extent, commands)
        last = suffix.last
        if last is not None and last.offset is not None and last.offset >= commands.end:
            raise EntryRefusedError(
                f"{self._settings.events_topic}, partition {row.shard} has what the record at"
                f" offset {last.offset} of {self._settings.commands_topic} came to, and that topic"
                f" ends at {commands.end}: it is not the one it was. Restore it from a mirror."
            )
        return ShardPlan(
            row=row,
            position=suffix.position,
            root=suffix.frontier.root(),
            last_at=row.last_at if last is None else last.occurred_at,
            undecided=commands.end - row.next_offset,
            start=extent.end if suffix.start is None else suffix.start,
            stop=extent.end,
            marks=bytes(suffix.marks),
        )

    async def _commands(self, row: ShardRow) -> Extent:
        topic = self._settings.commands_topic
        extent = await self._reader.extent(topic, row.shard)
        if extent.begin > row.next_offset:
            raise TopicTooShortError(
                f"{topic}, partition {row.shard} begins at offset {extent.begin}, and the restored"
                f" shard goes on at {row.next_offset}: the records between are gone, so they can't"
                f" be taken up again. {_LATER}"
            )
        try:
            await check_commands(self._settings, self._inspector, row)
        except ShardHaltedError as error:
            raise RollForwardError(str(error)) from error
        return extent

    async def _published(self, row: ShardRow, extent: Extent, commands: Extent) -> Suffix:
        """What was published after the end of the log.

        Records have the times of their entries, so the search begins where the log ends.
        """
        topic, shard = self._settings.events_topic, row.shard
        emptied = extent.begin == extent.end and (extent.begin > 0 or row.published > 0)
        if emptied and await self._went_on(row, commands):
            raise TopicTooShortError(
                f"{topic}, partition {shard} holds no record any more (its next one gets offset"
                f" {extent.end}), so nothing can tell what was published after entry"
                f" {row.position - 1} of shard {shard}. {_LATER} Or, if you know that this was the"
                " last one, name the other shards with --shard, and start the engines."
            )
        near = await self._reader.offset_at(topic, shard, row.last_at - _CLOCKS_DIFFER)
        suffix = await self._read(row, extent.end if near is None else near, extent.end)
        if suffix.has_hole:
            suffix = await self._read(row, extent.begin, extent.end)
        suffix.finish()
        return suffix

    async def _went_on(self, row: ShardRow, commands: Extent) -> bool:
        """Whether the shard had anything to decide after the restored point."""
        due: bool = await self._connection.fetchval(QUERIES["anything_due"], row.shard)
        return due or commands.end > row.next_offset

    async def _read(self, row: ShardRow, begin: int, stop: int) -> Suffix:
        topic, shard = self._settings.events_topic, row.shard
        suffix = Suffix(topic, row)
        told = partial(self._on_progress, f"examining {topic}, partition {shard}")
        async for records in self._reader.pages(topic, shard, begin, stop):
            page = suffix.sort(records)
            if in_log := suffix.in_log(page):
                # before anything else: where the two differ, nothing after that can be right
                await compare_with_log(self._connection, topic, shard, in_log)
            suffix.extend(page)
            told(records[-1].offset + 1 - begin, stop - begin)
        return suffix
