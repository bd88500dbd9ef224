"""The records that one lease has been handed and has not taken in, in the order of the partition."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from engine.intake import Record

BATCH_BYTES_MAX: Final = 2 * 1024 * 1024
HEADER_BYTES: Final = 150
"""What a header takes beside its bytes: a record can have hundreds of thousands of empty ones."""


class RecordQueue:
    """Keeps the order of the partition, also for what is put back."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def put(self, records: Sequence[Record]) -> None:
        self._records.extend(records)

    def put_back(self, records: Sequence[Record]) -> None:
        """Records that were taken, and come before all that is here."""
        self._records.extendleft(reversed(records))

    def clear(self) -> None:
        self._records.clear()

    def take(self, commands_max: int) -> list[Record]:
        """The next records, as many as make a batch; one at least, unless there is none."""
        records: list[Record] = []
        taken_bytes = 0
        for record in islice(self._records, commands_max):
            taken_bytes += size_bytes(record)
            if records and taken_bytes > BATCH_BYTES_MAX:
                break
            records.append(record)
        for _ in records:
            self._records.popleft()
        return records


def size_bytes(record: Record) -> int:
    """What a sender made of it, its headers included: they are kept with it."""
    size = len(record.value or b"") + len(record.key or b"")
    if record.headers:
        size += sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)
    return size
