"""Whether delivered records begin where the shard goes on.

A failed batch that were passed over would be lost for good, so a delivery that begins anywhere
else is dropped, and the partition is sought back. Only what then begins at the same place again
is real: later, it is a gap that transaction markers left; with the records before it deleted, or
earlier and the partition ends there, the topic is not the one that the shard has read so far.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from engine.errors import ShardHaltedError

Verdict = Literal["accept", "seek_back", "judge"]


class Placement:
    """Follows the deliveries of one lease; `expected` is where the next one has to begin."""

    def __init__(self, partition: int, expected: int) -> None:
        self._partition = partition
        self.expected = expected
        self._suspect: int | None = None
        self._gap_end: int | None = None

    def place(self, first: int, last: int) -> Verdict:
        """What to do with records from offset `first` to `last`."""
        if first in (self.expected, self._gap_end):
            self._suspect = self._gap_end = None
            self.expected = last + 1
            return "accept"
        if first != self._suspect:
            self._suspect = first
            return "seek_back"
        return "judge"

    async def judge(self, ends: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        """Let the suspected gap pass, or raise ShardHaltedError for what it tells of the topic.

        `ends` asks the broker for the partition's first offset and the one after its last.
        """
        first = self._suspect
        if first is None:
            return
        beginning, end = await ends()
        if end >= self.expected > first:
            # records from before a seek that were handed over late, twice
            self._suspect = None
            return
        if first < self.expected:
            raise ShardHaltedError(
                "commands_topic_replaced",
                f"Partition {self._partition} ends before offset {self.expected}, where this shard"
                " goes on: the commands topic has been truncated or created anew. Restore the"
                " topic, or start with a new database.",
            )
        if beginning > self.expected:
            raise commands_deleted(self._partition, self.expected, beginning)
        self._gap_end = first


def commands_deleted(partition: int, expected: int, beginning: int) -> ShardHaltedError:
    """The broker has deleted commands that were never decided."""
    return ShardHaltedError(
        "commands_deleted",
        f"Partition {partition} begins at offset {beginning}, but this shard goes on at"
        f" {expected}: undecided commands were deleted. Restore them from upstream, send them"
        " again, and lengthen the retention of the commands topic.",
    )
