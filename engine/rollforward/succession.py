"""What a partition of the events topic says comes after a position, by the rule of its consumers.

Exactly the next position is taken, what is below it is a repeat, and what is above it is waited
for: publishing is at least once, and after an error goes on from the last acknowledged entry.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from engine.events_topic import published_place
from engine.rollforward.errors import EntryRefusedError


class PublishedRecord(Protocol):
    """What is read of a record of the events topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Published(Struct, frozen=True, gc=False):
    """An entry's bytes, and the offset of the record that they came in."""

    position: int
    offset: int
    key: bytes | None
    data: bytes


class Page(Struct, frozen=True):
    """Records by what they are: the next entries in order, and repeats of earlier ones."""

    following: list[Published]
    repeated: list[Published]


class Succession:
    """Follows one partition; `position` is the one that comes next."""

    def __init__(self, topic: str, shard: int, position: int) -> None:
        self.position = position
        self._topic = topic
        self._shard = shard
        self._ahead: Published | None = None

    @property
    def ahead(self) -> Published | None:
        """The first entry that stands past a hole, as long as nothing has filled it."""
        return self._ahead

    def take(self, records: Sequence[PublishedRecord]) -> Page:
        """Sort the next records; raises EntryRefusedError for one that is no entry of the shard."""
        following: list[Published] = []
        repeated: list[Published] = []
        for record in records:
            published = self._read(record)
            if published.position == self.position:
                following.append(published)
                self.position += 1
                if self._ahead is not None and self.position > self._ahead.position:
                    self._ahead = None
            elif published.position < self.position:
                repeated.append(published)
            elif self._ahead is None:
                self._ahead = published
        return Page(following, repeated)

    def _read(self, record: PublishedRecord) -> Published:
        place = published_place(record.value)
        if record.value is None or place is None or place.shard != self._shard:
            raise EntryRefusedError(
                f"{self._topic}, partition {self._shard}, offset {record.offset} is no entry of"
                f" shard {self._shard}: somebody else writes to this topic, or WALLET_EVENTS_TOPIC"
                " or WALLET_KAFKA_BOOTSTRAP names another one."
            )
        return Published(place.position, record.offset, record.key, record.value)
