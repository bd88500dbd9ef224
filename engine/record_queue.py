"""The records that one lease has been handed and has not decided, bounded in number and bytes."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from engine.intake import Record

BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024


class RecordQueue:
    """Keeps the order of the partition, also for what is put back."""

    def __init__(self, commands_max: int) -> None:
        self._commands_max = commands_max
        self._records: deque[Record] = deque()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def is_full(self) -> bool:
        """Whether no more should be fetched."""
        return self._reaches(1.0)

    @property
    def is_half_empty(self) -> bool:
        """Whether it is time to fetch again."""
        return not self._reaches(0.5)

    def _reaches(self, share: float) -> bool:
        return (
            len(self._records) >= self._commands_max * share
            or self.size_bytes >= QUEUE_BYTES_MAX * share
        )

    def put(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        self.size_bytes += sum(map(_size, records))

    def put_back(self, records: Sequence[Record]) -> None:
        """Records that were taken, and come before all that is here."""
        self._records.extendleft(reversed(records))
        self.size_bytes += sum(map(_size, records))

    def take(self, commands_max: int) -> list[Record]:
        """The next records, as many as make a batch; one at least, unless there is none."""
        records: list[Record] = []
        taken_bytes = 0
        for record in islice(self._records, commands_max):
            size_bytes = _size(record)
            if records and taken_bytes + size_bytes > BATCH_BYTES_MAX:
                break
            records.append(record)
            taken_bytes += size_bytes
        for _ in records:
            self._records.popleft()
        self.size_bytes -= taken_bytes
        return records


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"")
