"""What records are taken for: commands of this shard, strays, and dead letters."""

import msgspec
import pytest

from engine.intake import FORWARDED_HEADER, record_digest, take_in
from engine.topology import home
from schemas.commands import PAYLOAD_BYTES_MAX
from tests.support.bad_payloads import BAD, padded
from tests.support.batches import FakeRecord, records
from tests.support.payloads import debit, topup

W = "wal_a1"


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_command_is_a_dead_letter_with_all_its_bytes(name: str) -> None:
    bad, reason = BAD[name]
    intake = take_in([FakeRecord(7, bad, key=b"\xff"), FakeRecord(8, debit(W, "d", 1))], 0, 1)
    (letter,) = intake.dead_letters
    assert (letter.offset, letter.reason) == (7, reason)
    assert (letter.payload, letter.key) == (bad, b"\xff")
    assert letter.detail
    assert letter.detail.encode() == letter.detail.encode().replace(b"\0", b"")
    assert [received.offset for received in intake.commands] == [8]


def test_the_largest_payload_is_a_command() -> None:
    intake = take_in(records(padded(PAYLOAD_BYTES_MAX)), 0, 1)
    assert len(intake.commands) == 1


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    doubled = b'{"type":"debit","wallet_id":"wal_a1","reference":"r","amount":1,"amount":2}'
    (received,) = take_in(records(doubled), 0, 1).commands
    assert msgspec.to_builtins(received.command)["amount"] == 2


def test_a_command_in_another_partition_than_its_home_is_a_stray() -> None:
    at_home = home(W, 4)
    for shard in range(4):
        intake = take_in(records(topup(W, "t", 1), first=77), shard, 4)
        if shard == at_home:
            assert len(intake.commands) == 1
        else:
            (stray,) = intake.strays
            assert (stray.offset, stray.home, stray.wallet_id) == (77, at_home, W)
            assert stray.payload == topup(W, "t", 1)


def test_a_forwarded_command_that_is_not_at_home_goes_no_further() -> None:
    away = (home(W, 4) + 1) % 4
    record = FakeRecord(5, topup(W, "t", 1), headers=((FORWARDED_HEADER, b"0:1"),))
    intake = take_in([record], away, 4)
    assert intake.strays == []
    assert [letter.reason for letter in intake.dead_letters] == ["misrouted"]


def test_a_record_digest_tells_records_apart() -> None:
    digests = {
        record_digest(record)
        for record in (
            FakeRecord(1, b"v"),
            FakeRecord(2, b"v"),
            FakeRecord(1, b"w"),
            FakeRecord(1, None),
            FakeRecord(1, b""),
            FakeRecord(1, b"v", key=b""),
            FakeRecord(1, b"", key=b"v"),
            FakeRecord(1, b"v", key=b"k"),
            FakeRecord(1, b"vk"),
            FakeRecord(1, b"v", timestamp=1),
        )
    }
    assert len(digests) == 10
    # it is stored, so it may never change
    assert record_digest(FakeRecord(1, b"v", key=b"k", timestamp=3)).hex() == (
        "953027c85f779b0c15486bee7a457e62"
    )
