"""What can be watched of an engine while it works. Nobody does, unless the settings ask for it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal

from engine.batch import Batch
from engine.intake import Record
from engine.log import ShardLog
from engine.producing import ShardProducer
from engine.settings import Settings

Stage = Literal["decode", "look_up", "decide", "hash", "append", "publish"]

_UNTIMED: Final = nullcontext()


def untimed(stage: Stage) -> AbstractContextManager[None]:  # noqa: ARG001
    """Takes no time of a stage."""
    return _UNTIMED


class Observer:
    """Takes no notice of anything; whoever does overrides what it wants to see."""

    async def open_log(self, shard: int, settings: Settings) -> ShardLog:
        """The connections of one claim."""
        return await ShardLog.connect(shard, settings)

    async def open_producer(self, shard: int, settings: Settings) -> ShardProducer:
        """What one lease sends with."""
        return await ShardProducer.connect(settings, shard)

    def assigned(self, shards: frozenset[int]) -> None:
        """These are the process's from now on, held by now or not, and no others."""

    def delivered(self, shard: int, records: Sequence[Record]) -> None:
        """Records have been fetched, maybe not for the first time."""

    def committed(self, shard: int, batch: Batch) -> None:
        """A batch is in the log."""

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Entered for as long as a stage of a batch takes."""
        return untimed(stage)


NOBODY: Final = Observer()
