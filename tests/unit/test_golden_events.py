"""Entries as they were once written: every release reads them, and writes them alike.

A file here is never changed; a new event, or a new shape of one, gets a file of its own.
"""

import json
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.commands import AnyCommand
from schemas.digests import body_digest, command_id, conflict_id, expiry_id, further_id
from schemas.entries import Entry, decode_entry, encode_entry
from schemas.events import AnyEvent, CommandRejected, Expired, WrittenOff

PATHS = sorted((Path(__file__).parents[1] / "golden" / "events").glob("*.json"))
golden = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def _bytes(path: Path) -> bytes:
    return path.read_bytes().removesuffix(b"\n")


def _tags(union: object) -> set[str]:
    return {struct.__struct_config__.tag for struct in get_args(union)}


@golden
def test_decodes_and_encodes_to_the_same_bytes(path: Path) -> None:
    entry = decode_entry(_bytes(path))
    assert encode_entry(entry) == _bytes(path)


@golden
def test_decodes_to_what_the_document_says(path: Path) -> None:
    document = json.loads(_bytes(path))
    entry = decode_entry(_bytes(path))
    assert path.stem.partition(".")[0] == document["event"]["type"]
    assert entry.event.__struct_config__.tag == document["event"]["type"]
    assert entry.position == document["position"]
    assert entry.occurred_at.isoformat().replace("+00:00", "Z") == document["occurred_at"]
    assert getattr(entry.event, "amount", None) == document["event"].get("amount")


@golden
def test_fields_of_a_newer_release_are_passed_over(path: Path) -> None:
    document = json.loads(_bytes(path))
    document["added_later"] = {"deep": [1, None]}
    document["event"]["added_later"] = "x"
    for lot in document["event"].get("lots", []):
        lot["added_later"] = 1
    assert decode_entry(json.dumps(document).encode()) == decode_entry(_bytes(path))


def test_what_nests_too_deeply_is_refused_as_anything_that_is_no_entry() -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    for data in (
        nested,
        PATHS[0].read_bytes().replace(b'"event":{', b'"event":{"x":' + nested + b","),
    ):
        with pytest.raises(msgspec.DecodeError):
            decode_entry(data)


@golden
def test_an_event_of_a_newer_release_is_refused(path: Path) -> None:
    document = json.loads(_bytes(path))
    document["event"]["type"] = "hold_placed"
    with pytest.raises(msgspec.ValidationError, match="hold_placed"):
        decode_entry(json.dumps(document).encode())


def _expected_id(entry: Entry) -> bytes:
    event = entry.event
    if isinstance(event, Expired):
        return expiry_id(entry.wallet_id, event.lot)
    reference = event.command.reference if isinstance(event, CommandRejected) else event.reference
    own = command_id(entry.wallet_id, reference)
    if isinstance(event, WrittenOff):
        return further_id(own, 0)
    if isinstance(event, CommandRejected) and event.code == "reference_conflict":
        return conflict_id(own, body_digest(event.command))
    return own


@golden
def test_command_ids_are_still_the_same(path: Path) -> None:
    entry = decode_entry(_bytes(path))
    assert entry.command_id == _expected_id(entry).hex()


@golden
def test_body_digests_are_still_the_same(path: Path) -> None:
    entry = decode_entry(_bytes(path))
    if isinstance(entry.event, CommandRejected):
        assert entry.body_digest == body_digest(entry.event.command).hex()


def test_every_event_has_a_golden_entry() -> None:
    assert {path.stem.partition(".")[0] for path in PATHS} == _tags(AnyEvent)


def test_every_command_has_a_golden_rejection() -> None:
    rejected = {path.stem.partition(".")[2] for path in PATHS} - {""}
    assert rejected == _tags(AnyCommand)
