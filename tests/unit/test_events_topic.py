"""How entries are cut into record batches, and the headers they carry."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import NonRecordingSpan, SpanContext

from engine.events_topic import (
    RECORD_OVERHEAD_BYTES,
    EventRecord,
    PublishedPlace,
    cloud_event_headers,
    event_record,
    published_place,
    whole_commands,
)
from engine.log import StoredEntry
from engine.telemetry.tracing import traceparent_of
from tests.support.batches import NOON, decide_all, records, start
from tests.support.payloads import create, payload, topup


def entry(position: int, size: int = 10, *, last: bool = True) -> EventRecord:
    return EventRecord(position, "wal_a1", "debited", NOON, b"x" * size, last)


@given(
    st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=60),
    st.integers(500, 3_000),
)
def test_batches_hold_all_complete_commands_in_order(
    sizes: list[tuple[int, bool]], bytes_max: int
) -> None:
    entries = [entry(position, size, last=last) for position, (size, last) in enumerate(sizes)]
    batches = whole_commands(entries, bytes_max)
    sent = [record for batch in batches for record in batch]
    complete = max((record.position + 1 for record in entries if record.last), default=0)
    assert sent == entries[:complete]
    for batch in batches:
        assert batch[-1].last
        commands = sum(record.last for record in batch)
        weight = sum(len(record.data) + RECORD_OVERHEAD_BYTES for record in batch)
        assert weight <= bytes_max or commands == 1


def test_what_comes_after_the_last_complete_command_waits() -> None:
    assert whole_commands([entry(0, last=False)], 1_000) == []
    assert whole_commands([entry(0), entry(1, last=False)], 1_000) == [[entry(0)]]


def test_an_entry_says_where_it_stands() -> None:
    largest = 2**63 - 1
    value = b'{"shard":3,"position":%d,"added_later":[{}]}' % largest
    assert published_place(value) == PublishedPlace(3, largest)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"hello",
        b"{}",
        b'{"shard":-1,"position":2}',
        b'{"shard":0,"position":-1}',
        b'{"shard":0,"position":9223372036854775808}',
        b'{"shard":0,"position":2,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(8),
)
def test_what_is_no_entry_has_no_place(value: bytes | None) -> None:
    assert published_place(value) is None


def test_headers_are_cloud_events_in_binary_mode() -> None:
    made = list(cloud_event_headers(3, [entry(41), entry(42)]))
    assert made[1] == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"3:42"),
        ("ce_source", b"/wallet-engine/shards/3"),
        ("ce_type", b"wallet.debited"),
        ("ce_time", b"2026-01-01T12:00:00Z"),
        ("ce_subject", b"wal_a1"),
        ("content-type", b"application/json"),
    ]


def test_headers_that_records_share_are_still_each_records_own() -> None:
    moments = [NOON, NOON + timedelta(seconds=1), datetime(2026, 1, 1, 12, tzinfo=UTC)]
    entries = [
        EventRecord(position, f"wal_{position}", kind, moment, b"{}", last=True)
        for position, (kind, moment) in enumerate(
            zip(("debited", "credited", "debited"), moments, strict=True)
        )
    ]
    made = [dict(headers) for headers in cloud_event_headers(0, entries)]
    assert [headers["ce_type"] for headers in made] == [
        b"wallet.debited",
        b"wallet.credited",
        b"wallet.debited",
    ]
    times = [headers["ce_time"] for headers in made]
    assert times == [b"2026-01-01T12:00:00Z", b"2026-01-01T12:00:01Z", b"2026-01-01T12:00:00Z"]
    assert [headers["ce_subject"] for headers in made] == [b"wal_0", b"wal_1", b"wal_2"]


def test_an_entry_read_from_the_log_is_cut_as_it_was_from_memory() -> None:
    wallet = "wal_a1"
    commands = [create(wallet), topup(wallet, "t", 7), payload("close", wallet, "c")]
    batch = decide_all(start(), records(*commands))
    append = batch.append
    read = [
        event_record(StoredEntry(position, wallet, kind, append.now, data))
        for position, (kind, data) in enumerate(zip(append.types, append.data, strict=True))
    ]
    assert [record.last for record in read] == batch.lasts == [True, True, False, True]
    assert all(first.position + 1 == second.position for first, second in pairwise(read))


def test_the_overhead_of_a_record_is_not_underestimated() -> None:
    """The largest key, type, position and time there can be."""
    record = EventRecord(
        2**63 - 1,
        "wal_" + "a" * 40,
        "command_rejected",
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        b"",
        last=True,
    )
    builder = DefaultRecordBatchBuilder(
        2,
        0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=10_000,
    )
    before = builder.size()
    span = NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=False))
    headers = [*next(cloud_event_headers(9_999, [record])), traceparent_of(span)]
    builder.append(0, 0, record.wallet_id.encode(), b"", headers)
    assert builder.size() - before < RECORD_OVERHEAD_BYTES
