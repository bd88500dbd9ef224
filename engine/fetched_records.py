"""What a fetch brought, readable whatever the names of its headers are.

Kafka carries header names as bytes, and clients in C let a sender write any. aiokafka decodes them
as UTF-8 while it reads, and raises at the same record for ever: one such record would stop every
partition of the process.
"""

from collections.abc import Iterator
from itertools import islice
from struct import unpack_from
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH_AT: Final = 8
_BEFORE_LENGTH_COUNTS: Final = 12


def tolerate_header_names() -> None:
    """Let every consumer of this process read what others can send."""
    fetcher.MemoryRecords = FetchedRecords


class FetchedRecords:
    """Stands in for aiokafka's MemoryRecords: the batches of one fetched partition."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> "_FetchedBatch":
        (length,) = unpack_from(">i", self._data, self._at + _LENGTH_AT)
        start, self._at = self._at, self._at + _BEFORE_LENGTH_COUNTS + length
        return _FetchedBatch(self._records.next_batch(), self._data, start, self._at)


class _FetchedBatch:
    def __init__(self, batch: Any, data: bytes, start: int, stop: int) -> None:
        self._batch = batch
        self._data = data
        self._bounds = slice(start, stop)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        # one at a time: a batch of a mebibyte can hold a hundred thousand records
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(self._tolerant(), read, None)

    def _tolerant(self) -> _DefaultRecordBatchPy:
        tolerant = _DefaultRecordBatchPy(self._data[self._bounds])
        tolerant._maybe_uncompress()  # noqa: SLF001
        tolerant._buffer = _AnyText(tolerant._buffer)  # noqa: SLF001
        return tolerant


class _AnyText(bytearray):
    """Bytes whose slices decode to some text, whatever they hold."""

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        found = super().__getitem__(place)
        return _AnyText(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        return super().decode(encoding, "backslashreplace")
