"""How entries stand on the events topic."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from engine.log import StoredEntry
from schemas.instants import to_text

RECORD_OVERHEAD_BYTES = 400
"""At most what a record's key, headers and framing take besides the entry."""

_POSITION_MAX: Final = 2**63 - 1

TRACEPARENT: Final = "traceparent"
"""The one header that may follow an entry's own: of the trace in which it was published."""


class EventRecord(Struct, frozen=True, gc=False):
    """An entry as it goes onto the topic; `last` closes its command."""

    position: int
    wallet_id: str
    type: str
    occurred_at: datetime
    data: bytes
    last: bool


class _Last(Struct):
    last: bool


_last_decoder = msgspec.json.Decoder(_Last)


class PublishedPlace(Struct, frozen=True, gc=False):
    """Where an entry says that it stands in the log."""

    shard: Annotated[int, Meta(ge=0)]
    position: Annotated[int, Meta(ge=0, le=_POSITION_MAX)]


_place_decoder = msgspec.json.Decoder(PublishedPlace)


def published_place(value: bytes | None) -> PublishedPlace | None:
    """The place of the entry that a record's value is; None if it is no entry."""
    try:
        return _place_decoder.decode(value or b"")
    except (msgspec.DecodeError, RecursionError):
        return None


def event_record(entry: StoredEntry) -> EventRecord:
    """The record of an entry that was read from the log."""
    last = _last_decoder.decode(entry.data).last
    return EventRecord(
        entry.position, entry.wallet_id, entry.type, entry.occurred_at, entry.data, last
    )


def whole_commands(records: Sequence[EventRecord], bytes_max: int) -> list[list[EventRecord]]:
    """Batches of at most `bytes_max`, none of which ends inside a command.

    What comes after the last complete command is left out.
    """
    batches: list[list[EventRecord]] = []
    batch: list[EventRecord] = []
    command: list[EventRecord] = []
    batch_bytes = command_bytes = 0
    for record in records:
        command.append(record)
        command_bytes += len(record.data) + RECORD_OVERHEAD_BYTES
        if not record.last:
            continue
        if batch and batch_bytes + command_bytes > bytes_max:
            batches.append(batch)
            batch, batch_bytes = [], 0
        batch += command
        batch_bytes += command_bytes
        command, command_bytes = [], 0
    if batch:
        batches.append(batch)
    return batches


Headers = list[tuple[str, bytes]]


def cloud_event_headers(shard: int, records: Iterable[EventRecord]) -> Iterator[Headers]:
    """CloudEvents 1.0 in Kafka's binary mode: the attributes are headers, the entry the value.

    What consecutive records share is made once: this runs for each entry that is published.
    """
    version = ("ce_specversion", b"1.0")
    source = ("ce_source", b"/wallet-engine/shards/%d" % shard)
    content = ("content-type", b"application/json")
    types: dict[str, tuple[str, bytes]] = {}
    moment, time = None, ("ce_time", b"")
    for record in records:
        if record.occurred_at is not moment:
            moment = record.occurred_at
            time = ("ce_time", to_text(moment).encode())
        kind = types.get(record.type)
        if kind is None:
            kind = types[record.type] = ("ce_type", b"wallet." + record.type.encode())
        yield [
            version,
            ("ce_id", b"%d:%d" % (shard, record.position)),
            source,
            kind,
            time,
            ("ce_subject", record.wallet_id.encode()),
            content,
        ]
