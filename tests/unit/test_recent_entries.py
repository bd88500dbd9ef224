"""What is kept for publishing is bounded, whole, and never has a hole."""

import pytest

from engine import recent_entries
from engine.events_topic import EventRecord
from engine.recent_entries import RecentEntries
from tests.support.batches import NOON


def batch(start: int, stop: int, size: int = 10):
    return [
        EventRecord(position, "wal_a1", "debited", NOON, b"x" * size, last=True)
        for position in range(start, stop)
    ]


def positions(records: list[EventRecord]) -> list[int]:
    return [record.position for record in records]


def test_entries_are_taken_in_order_and_once():
    recent = RecentEntries()
    recent.add(batch(5, 8))
    recent.add([])
    recent.add(batch(8, 10))
    assert recent.start == 5
    assert positions(recent.take(5, 10**6)) == [5, 6, 7, 8, 9]
    assert (recent.take(10, 10**6), recent.start, recent.size_bytes) == ([], None, 0)


def test_what_was_published_out_of_the_log_is_passed_over():
    recent = RecentEntries()
    recent.add(batch(5, 10))
    recent.add(batch(10, 12))
    assert recent.take(3, 1_000) == []
    assert recent.start == 5
    assert positions(recent.take(7, 1)) == [7, 8, 9]
    assert positions(recent.take(12, 1)) == []
    assert recent.start is None


def test_batches_are_taken_until_they_are_enough():
    recent = RecentEntries()
    for start in range(0, 50, 10):
        recent.add(batch(start, start + 10, size=300))
    assert positions(recent.take(0, 1)) == [*range(10)]
    assert positions(recent.take(10, 5_001)) == [*range(10, 30)]
    assert positions(recent.take(30, 5_000)) == [*range(30, 40)]
    assert recent.size_bytes == 5_000


def test_the_newest_batches_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recent_entries, "BYTES_MAX", 2_000)
    recent = RecentEntries()
    largest = 0
    for start in range(0, 40, 2):
        recent.add(batch(start, start + 2, size=300))
        largest = max(largest, recent.size_bytes)
    assert 2_000 <= largest < 2_000 + 2 * 500
    assert recent.start is not None
    start = recent.start
    assert positions(recent.take(start, 10**6)) == [*range(start, 40)]
