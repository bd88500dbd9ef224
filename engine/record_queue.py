"""The records that one lease has been handed and has not taken in, in the order of the partition."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Final

from engine.intake import Record

BATCH_BYTES_MAX: Final = 2 * 1024 * 1024
HEADER_BYTES: Final = 150
"""What a header takes beside its bytes: a record can have hundreds of thousands of empty ones."""


class RecordQueue:
    """Keeps the order of the partition, also for what is put back."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._sizes: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def put(self, records: Sequence[Record]) -> int:
        """Records that follow; their bytes."""
        sizes = sizes_bytes(records)
        self._records.extend(records)
        self._sizes.extend(sizes)
        return sum(sizes)

    def put_back(self, records: Sequence[Record]) -> None:
        """Records that were taken, and come before all that is here."""
        self._records.extendleft(reversed(records))
        self._sizes.extendleft(reversed(sizes_bytes(records)))

    def clear(self) -> None:
        self._records.clear()
        self._sizes.clear()

    def take(self, commands_max: int) -> list[Record]:
        """The next records, as many as make a batch; one at least, unless there is none."""
        sums = list(accumulate(islice(self._sizes, commands_max)))
        fit = bisect_right(sums, BATCH_BYTES_MAX) or min(1, len(sums))
        for _ in range(fit):
            self._sizes.popleft()
        return [self._records.popleft() for _ in range(fit)]


def sizes_bytes(records: Sequence[Record]) -> list[int]:
    """What senders made of each, its headers included: they are kept with it."""
    return [
        len(record.value or b"")
        + len(record.key or b"")
        + (_headers_bytes(record) if record.headers else 0)
        for record in records
    ]


def _headers_bytes(record: Record) -> int:
    return sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)
