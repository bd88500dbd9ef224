"""Histories as they stand on the events topic, and shards as they were restored from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from engine.log import ShardRow
from engine.merkle import Frontier, leaf_hashes
from schemas.entries import Entry, encode_entry
from tests.support.history import START, HistoryBuilder

TOPIC = "wallet.events"


@dataclass
class EventRecord:
    """A record of the events topic."""

    offset: int
    key: bytes | None
    value: bytes | None


def as_record(entry: Entry, offset: int) -> EventRecord:
    return EventRecord(offset, entry.wallet_id.encode(), encode_entry(entry))


def as_records(entries: Iterable[Entry], first_offset: int = 0) -> list[EventRecord]:
    """One record for each entry, in their order."""
    return [as_record(entry, offset) for offset, entry in enumerate(entries, first_offset)]


def boundaries(history: HistoryBuilder) -> list[int]:
    """Positions that an append can end at: those after which no command's entries go on."""
    return [0, *(entry.position + 1 for entry in history.entries if entry.last)]


def root_over(entries: Sequence[Entry]) -> Frontier:
    tree = Frontier()
    tree.extend(leaf_hashes(encode_entry(entry) for entry in entries))
    return tree


def restored_row(history: HistoryBuilder, position: int) -> ShardRow:
    """The shard's row when its log ended before `position`."""
    entries = history.entries[:position]
    return ShardRow(
        shard=history.shard,
        lease=UUID(int=0),
        epoch=1,
        next_offset=max((e.offset + 1 for e in entries if e.offset is not None), default=0),
        last_record=None,
        position=position,
        published=0,
        tree=root_over(entries).to_bytes(),
        last_at=max((entry.occurred_at for entry in entries), default=START),
    )
