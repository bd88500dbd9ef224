"""The newest committed entries of a shard, kept so that publishing need not read them again."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from engine.events_topic import EventRecord

BYTES_MAX: Final = 40 * 1024 * 1024
"""When so many are kept, the next batch takes their place: the log has them.

As much as the entries of ordinary commands take before deciding waits for Kafka: an engine that has to
read them back meanwhile is slower, as `python -m bench --figure uniform` shows with a third of this.
"""

_RECORD_BYTES: Final = 200
"""What a record takes beside its entry, about."""


class RecentEntries:
    """Whole batches, none of which cuts a command, in order and without a hole."""

    def __init__(self) -> None:
        self._batches: deque[Sequence[EventRecord]] = deque()
        self.size_bytes = 0

    @property
    def start(self) -> int | None:
        """The first position that is kept."""
        return self._batches[0][0].position if self._batches else None

    def add(self, batch: Sequence[EventRecord]) -> None:
        """Keep the entries that follow the last ones."""
        if self.size_bytes >= BYTES_MAX:
            self.clear()
        if batch:
            self._batches.append(batch)
            self.size_bytes += _size_bytes(batch)

    def take(self, position: int, bytes_max: int) -> list[EventRecord]:
        """Entries from `position` on, to the end of the batch that reaches `bytes_max`."""
        while self._batches and self._batches[0][-1].position < position:
            self._pop()
        if not self._batches or self._batches[0][0].position > position:
            return []
        until_bytes = self.size_bytes - bytes_max
        first = self._pop()
        taken = list(first[position - first[0].position :])
        while self._batches and self.size_bytes > until_bytes:
            taken += self._pop()
        return taken

    def _pop(self) -> Sequence[EventRecord]:
        batch = self._batches.popleft()
        self.size_bytes -= _size_bytes(batch)
        return batch

    def clear(self) -> None:
        """Forget all of them."""
        self._batches.clear()
        self.size_bytes = 0


def _size_bytes(batch: Sequence[EventRecord]) -> int:
    return sum(len(record.data) for record in batch) + len(batch) * _RECORD_BYTES
