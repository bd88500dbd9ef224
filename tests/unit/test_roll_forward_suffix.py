"""What the events topic may say comes after a restored log, and what it may not."""

from dataclasses import replace as with_changes
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from engine.merkle import leaf_hash
from engine.rollforward.errors import EntryRefusedError, HistoryForkedError, TopicTooShortError
from engine.rollforward.suffix import MARK_BYTES, Suffix
from schemas import digests
from schemas.commands import TopUp
from schemas.entries import Entry, encode_entry
from schemas.events import CommandRejected
from tests.support.history import HistoryBuilder
from tests.support.published import TOPIC, as_record, as_records, restored_row, root_over

RESTORED = 2


def history() -> HistoryBuilder:
    """Eight entries: two restored, a debit, a refusal, an expiry, a close in two entries, a credit."""
    return (
        HistoryBuilder()
        .create("wal_a")
        .topup("wal_a", 500)
        .wait(1)
        .debit("wal_a", 20)
        .debit("wal_a", 9_000)
        .credit("wal_a", 7, lasts=5)
        .wait(5)
        .expire("wal_a")
        .close("wal_a")
    )


@pytest.fixture
def entries() -> list[Entry]:
    return history().entries


def suffix_of(*records: Any, restored: int = RESTORED) -> Suffix:
    suffix = Suffix(TOPIC, restored_row(history(), restored))
    suffix.extend(suffix.sort(records))
    return suffix


def refusal(*records: Any, restored: int = RESTORED) -> str:
    with pytest.raises(EntryRefusedError) as refused:
        suffix_of(*records, restored=restored)
    return str(refused.value)


def test_the_history_is_the_one_that_is_meant(entries: list[Entry]) -> None:
    kinds = [type(entry.event).__name__ for entry in entries]
    assert kinds == [
        "WalletCreated",
        "ToppedUp",
        "Debited",
        "CommandRejected",
        "Credited",
        "Expired",
        "WrittenOff",
        "Closed",
    ]


def test_what_follows_is_taken_in_order(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records(entries, first_offset=40))
    suffix.finish()
    assert suffix.position == len(entries)
    assert suffix.start == 42
    assert suffix.last == entries[-1]
    assert suffix.frontier.root() == root_over(entries).root()
    hashes = [leaf_hash(encode_entry(entry)) for entry in entries[RESTORED:]]
    assert bytes(suffix.marks) == b"".join(each[:MARK_BYTES] for each in hashes)


def test_what_the_log_has_is_given_back_to_be_compared(entries: list[Entry]) -> None:
    suffix = Suffix(TOPIC, restored_row(history(), RESTORED))
    in_log = suffix.in_log(suffix.sort(as_records(entries[:4])))
    assert [each.position for each in in_log] == [0, 1]
    assert in_log[1].data == encode_entry(entries[1])


def test_nothing_published_is_nothing_to_do(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records(entries[:RESTORED]))
    suffix.finish()
    assert suffix.position == RESTORED
    assert suffix.start is None


def test_repeats_and_what_comes_too_early_change_nothing(entries: list[Entry]) -> None:
    order = [2, 4, 0, 3, 1, 2, 7, 4, 3, 4, 5, 5, 6, 7, 2]
    records = [as_record(entries[number], offset) for offset, number in enumerate(order)]
    suffix = suffix_of(*records)
    suffix.finish()
    assert suffix.position == len(entries)
    assert suffix.frontier.root() == root_over(entries).root()


def test_a_repeat_with_other_bytes_is_a_fork(entries: list[Entry]) -> None:
    other = replace(entries[2], occurred_at=entries[2].occurred_at + timedelta(seconds=1))
    with pytest.raises(HistoryForkedError, match=r"offset 9 has another entry for position 2"):
        suffix_of(*as_records(entries), as_record(other, 9))


def test_a_hole_says_where_and_what_to_do(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records([entries[2], *entries[5:]], first_offset=10))
    assert suffix.has_hole
    with pytest.raises(TopicTooShortError) as short:
        suffix.finish()
    said = str(short.value)
    assert "wallet.events, partition 0 has no entry 3" in said
    assert "it has entry 5 at offset 11" in said
    assert "the 2 entries between are nowhere" in said
    assert "one at 2026-01-01T00:00:06" in said


def test_a_hole_that_is_filled_is_none(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records([entries[5], *entries[2:6]]))
    assert not suffix.has_hole
    assert suffix.position == 6


def test_what_came_too_early_has_to_come_again(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records([entries[5], *entries[2:5]], first_offset=30))
    with pytest.raises(TopicTooShortError, match="stands at offset 30 alone"):
        suffix.finish()


def test_a_command_is_never_cut_in_two(entries: list[Entry]) -> None:
    suffix = suffix_of(*as_records(entries[:7]))
    with pytest.raises(TopicTooShortError, match="in the middle of what the command at offset 5"):
        suffix.finish()


@pytest.mark.parametrize(
    "value",
    [None, b"", b"hello", b"{}", b'{"shard":1,"position":2}', b'{"shard":0,"position":-1}'],
)
def test_what_is_no_entry_of_the_shard(entries: list[Entry], value: bytes | None) -> None:
    record = with_changes(as_record(entries[2], 77), value=value)
    assert "offset 77 is no entry of shard 0" in refusal(record)


def test_an_entry_of_a_newer_release(entries: list[Entry]) -> None:
    record = as_record(entries[2], 77)
    assert record.value is not None
    record.value = record.value.replace(b'"debited"', b'"hold_placed"')
    assert "a newer release" in refusal(record)


CHANGES: list[tuple[int, dict[str, Any], str]] = [
    (2, {"wallet_id": "wal_b"}, "another key than its wallet"),
    (2, {"occurred_at": history().entries[0].occurred_at - timedelta(seconds=1)}, "before it of"),
    (2, {"offset": 1}, "all below 2"),
    (2, {"version": None}, "has a version and is a rejection, or has none and is not"),
    (3, {"version": 4}, "has a version and is a rejection, or has none and is not"),
    (2, {"command_id": "00" * 16}, "has the id 0000"),
    (3, {"command_id": "00" * 16}, "has the id 0000"),
    (5, {"command_id": "00" * 16}, "has the id 0000"),
    (6, {"command_id": "00" * 16}, "has the id 0000"),
    (2, {"offset": None}, "comes from no command"),
    (6, {"last": True}, "has the id"),
    (7, {"offset": 6}, "inside the command at offset 5"),
    (7, {"occurred_at": history().entries[7].occurred_at + timedelta(seconds=1)}, "inside the"),
]


@pytest.mark.parametrize(("position", "changes", "said"), CHANGES)
def test_an_entry_that_no_engine_published_there(
    entries: list[Entry], position: int, changes: dict[str, Any], said: str
) -> None:
    records = as_records(entries)
    forged = replace(entries[position], **changes)
    records[position] = in_place_of(records[position], forged)
    message = refusal(*records)
    assert said in message
    assert f"position {position} " in message


def in_place_of(record: Any, forged: Entry) -> Any:
    """The forged entry under the key of the one in whose place it stands."""
    return with_changes(record, value=encode_entry(forged))


def test_offsets_go_up_from_command_to_command(entries: list[Entry]) -> None:
    records = as_records(entries)
    records[3] = in_place_of(records[3], replace(entries[3], offset=2))
    assert "all below 3" in refusal(*records)


def test_another_wallet_inside_a_command(entries: list[Entry]) -> None:
    records = as_records(entries)
    records[7] = as_record(replace(entries[7], wallet_id="wal_b"), 7)
    assert "inside the command at offset 5" in refusal(*records)


def test_each_further_entry_of_a_command_has_an_ordinal(entries: list[Entry]) -> None:
    identity = digests.command_id("wal_a", "r6")
    first, closed = entries[6:]
    second = replace(
        first, position=7, version=7, command_id=digests.further_id(identity, 1).hex()
    )
    records = as_records([*entries[:7], second, replace(closed, position=8, version=8)])
    suffix = suffix_of(*records)
    suffix.finish()
    assert suffix.position == 9


def test_a_conflict_stands_under_an_id_of_its_own() -> None:
    conflicting = history()
    conflicting.send(TopUp(wallet_id="wal_a", reference="r2", amount=1))
    event = conflicting.entries[-1].event
    assert isinstance(event, CommandRejected)
    assert event.code in {"reference_conflict", "wallet_closed"}
    suffix = suffix_of(*as_records(conflicting.entries))
    suffix.finish()
    assert suffix.position == 9
