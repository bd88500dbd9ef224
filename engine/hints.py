"""What an engine tells listeners after a commit: how far a shard is, and outcomes if they are few.

    hint = Hint.of(shard, batch)
    Hint.from_text(hint.to_text()) == hint

A hint is only heard after the commit, so the outcomes in it are final. One that is lost, or that
says nothing of a record, costs a look into the database.
"""

from typing import Final, Self

from msgspec import Struct

from engine.batch import Batch

TEXT_BYTES_MAX: Final = 7_999
"""PostgreSQL refuses a longer payload."""

_HEAD_BYTES_MAX: Final = 70
_OFFSET_BYTES_MAX: Final = 21


class Hint(Struct, frozen=True):
    """`outcomes` maps offsets of the partition to the entries that are their outcomes."""

    shard: int
    next_offset: int
    position: int
    outcomes: dict[int, bytes]

    @classmethod
    def of(cls, shard: int, batch: Batch) -> Self:
        """All outcomes of a small batch, none of a larger one."""
        tip, data = batch.tip, batch.append.data
        outcomes = {}
        room = TEXT_BYTES_MAX - _HEAD_BYTES_MAX
        for offset, index in batch.outcome_entries:
            room -= len(data[index]) + _OFFSET_BYTES_MAX
            if room < 0:
                return cls(shard, tip.offset, tip.position, {})
            outcomes[offset] = data[index]
        return cls(shard, tip.offset, tip.position, outcomes)

    def to_text(self) -> str:
        """The shard, its next offset and its position, then a line for each outcome."""
        lines = [f"{self.shard}:{self.next_offset}:{self.position}"]
        lines += [f"{offset} {entry.decode()}" for offset, entry in self.outcomes.items()]
        return "\n".join(lines)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises ValueError if it is no hint."""
        head, *lines = text.split("\n")
        shard, next_offset, position = map(int, head.split(":"))
        outcomes = {}
        for line in lines:
            offset, _, entry = line.partition(" ")
            outcomes[int(offset)] = entry.encode()
        return cls(shard, next_offset, position, outcomes)
