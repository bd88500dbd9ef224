"""What a lease holds is bounded in bytes, wherever on their way its records are."""

import pytest

from engine import backlog as backlog_module
from engine import record_queue
from engine.backlog import Backlog
from engine.record_queue import RecordQueue
from tests.support.batches import FakeRecord, records
from tests.support.payloads import create

JUNK = b"x" * 100


class Flow:
    """Hears when to fetch, and when not to."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def backlog(self, commands_max: int = 1_000) -> Backlog:
        return Backlog(
            0,
            1,
            commands_max,
            on_full=lambda: self.told.append("full"),
            on_room=lambda: self.told.append("room"),
        )


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "HELD_BYTES_MAX", 1_000)
    monkeypatch.setattr(record_queue, "BATCH_BYTES_MAX", 300)


def test_records_count_until_they_are_done() -> None:
    flow = Flow()
    backlog = flow.backlog()
    backlog.put(records(*[JUNK] * 12))
    assert (backlog.held_bytes, flow.told) == (1_200, ["full"])
    first, _ = backlog.take(1_000)
    second, _ = backlog.take(1_000)
    backlog.take_ahead(1_000)
    assert [len(first), len(second)] == [3, 3]
    assert (backlog.held_bytes, flow.told) == (1_200, ["full"])
    backlog.put_back(second)
    backlog.done(first)
    assert (backlog.held_bytes, flow.told) == (900, ["full"])
    for _ in range(3):
        taken, _ = backlog.take(1_000)
        backlog.done(taken)
    assert (backlog.held_bytes, flow.told) == (0, ["full", "room"])
    assert not backlog


def test_the_number_is_bounded_as_well() -> None:
    flow = Flow()
    backlog = flow.backlog(commands_max=4)
    backlog.put(records(*[b""] * 4))
    assert flow.told == ["full"]
    backlog.take(2)
    assert flow.told == ["full"]
    backlog.take(1)
    assert flow.told == ["full", "room"]


def test_what_is_forgotten_counts_no_more() -> None:
    backlog = Flow().backlog()
    backlog.put(records(JUNK, create("wal_a1"), JUNK))
    backlog.take_ahead(1)
    backlog.clear()
    assert (backlog.held_bytes, bool(backlog)) == (0, False)


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    queue = RecordQueue()
    queue.put(records(JUNK, JUNK, JUNK, JUNK, JUNK * 9, b"1", b"2", b"3"))
    taken = [[record.offset for record in queue.take(2)] for _ in range(6)]
    assert taken == [[0, 1], [2, 3], [4], [5, 6], [7], []]
    queue.put(records(*[JUNK] * 4))
    assert len(queue.take(9)) == 3


def test_what_is_around_a_payload_counts_too() -> None:
    around = FakeRecord(0, b"12", key=b"345", headers=(("ab", b"cd"), ("ef", None)))
    backlog = Flow().backlog()
    backlog.put([around])
    assert backlog.held_bytes == 5 + 2 * record_queue.HEADER_BYTES + 6
