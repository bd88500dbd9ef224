"""Digests stand in databases for ever: the golden ones may be added to, never changed."""

import json
from hashlib import blake2b
from pathlib import Path

import pytest

from schemas.commands import decode_command, encode_command
from schemas.digests import body_digest, command_id, conflict_id, expiry_id, further_id
from tests.support.specification import (
    after,
    close,
    create_wallet,
    credit,
    debit,
    freeze,
    topup,
    unfreeze,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "digests.json").read_bytes())


def decode(fields):
    return decode_command(json.dumps(fields).encode())


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["command"]["type"])
def test_digests_never_change(golden):
    command = decode(golden["command"])
    named = command_id(command.wallet_id, command.reference)
    body = body_digest(command)
    assert {
        "command": golden["command"],
        "command_id": named.hex(),
        "body_digest": body.hex(),
        "conflict_id": conflict_id(named, body).hex(),
        "further_id": [further_id(named, ordinal).hex() for ordinal in (0, 1)],
        "expiry_id": [expiry_id(command.wallet_id, lot).hex() for lot in (2, 2**62)],
    } == golden


def test_every_type_of_command_has_golden_digests():
    commands = [create_wallet(), debit(1), credit(1), topup(1), freeze(), unfreeze(), close()]
    types = {json.loads(encode_command(command))["type"] for command in commands}
    assert types == {golden["command"]["type"] for golden in GOLDEN}


def test_all_golden_digests_differ():
    names = ("command_id", "body_digest", "conflict_id", "further_id")
    digests = [digest for golden in GOLDEN for name in names for digest in _list(golden[name])]
    assert len(set(digests)) == len(digests) == 5 * len(GOLDEN)
    assert all(len(bytes.fromhex(digest)) == 16 for digest in digests)


def _list(value):
    return value if isinstance(value, list) else [value]


def test_a_digest_is_what_it_says():
    named = blake2b(b"5:wal_1ref-1", digest_size=16, person=b"wallet.command").digest()
    body = blake2b(
        b'{"amount":5,"reference":"ref-1","type":"debit","wallet_id":"wal_1"}',
        digest_size=16,
        person=b"wallet.body",
    ).digest()
    assert command_id("wal_1", "ref-1") == named
    assert body_digest(debit(5)) == body
    tagged = {b"wallet.conflict": named + body, b"wallet.further": named + b"10"}
    conflict, further = (
        blake2b(data, digest_size=16, person=tag).digest() for tag, data in tagged.items()
    )
    assert (conflict_id(named, body), further_id(named, 10)) == (conflict, further)
    expiry = blake2b(b"5:wal_17:0", digest_size=16, person=b"wallet.expiry").digest()
    assert expiry_id("wal_1", 7) == expiry


def test_no_two_names_run_into_each_other():
    named = command_id("wal_1", "2:0")
    digests = [
        named,
        command_id("wal_12", ":0"),
        command_id("wal_12:0", ""),
        expiry_id("wal_1", 2),
        expiry_id("wal_1", 2, 1),
        expiry_id("wal_12", 0),
        further_id(named, 0),
        further_id(named, 1),
        conflict_id(named, b"0"),
        conflict_id(named, b"1"),
    ]
    assert len(set(digests)) == len(digests)


FIELDS = {
    "type": "credit",
    "wallet_id": "wal_1",
    "reference": "r",
    "merchant_id": "mch_1",
    "environment": "live",
    "amount": 5,
    "currency": "GHS",
    "description": "d",
    "metadata": {"b": 1, "a": "x", "ä": None, "aa": True, "B": 1.5},
    "expires_at": "2030-01-01T00:00:00Z",
    "priority": 7,
}


def test_the_order_of_keys_is_of_no_account():
    digests = set()
    names = list(FIELDS)
    for turn in range(len(names)):
        turned = {name: FIELDS[name] for name in names[turn:] + names[:turn]}
        for metadata in (turned["metadata"], dict(reversed(turned["metadata"].items()))):
            digests.add(body_digest(decode(turned | {"metadata": metadata})))
    assert len(digests) == 1


@pytest.mark.parametrize(
    "defaults",
    [
        {"metadata": {}},
        {"description": ""},
        {"currency": None},
        {"merchant_id": None, "environment": None},
        {"expires_at": None, "priority": 100},
    ],
)
def test_a_default_that_is_spelt_out_is_the_same_as_none(defaults):
    bare = {name: FIELDS[name] for name in ("type", "wallet_id", "reference", "amount")}
    assert body_digest(decode(bare | defaults)) == body_digest(decode(bare))


def test_absent_metadata_is_empty_metadata_when_opening():
    command = json.loads(encode_command(create_wallet()))
    assert "metadata" not in command
    assert body_digest(decode(command | {"metadata": {}})) == body_digest(decode(command))


@pytest.mark.parametrize(
    "spelling",
    [
        "2029-12-31T19:00:00-05:00",
        "2030-01-01T05:45:00+05:45",
        "2030-01-01T00:00:00+00:00",
        "2030-01-01T00:00:00-00:00",
        "2030-01-01T00:00:00.0Z",
        "2030-01-01 00:00:00.000000z",
    ],
)
def test_a_moment_is_the_same_in_every_zone(spelling):
    assert body_digest(decode(FIELDS | {"expires_at": spelling})) == body_digest(decode(FIELDS))


def test_each_field_counts():
    plain = {name: FIELDS[name] for name in ("wallet_id", "reference", "amount", "currency")}
    others = [
        {"wallet_id": "wal_2"},
        {"reference": "R"},
        {"merchant_id": "mch_2"},
        {"merchant_id": None},
        {"environment": "sandbox"},
        {"amount": 6},
        {"currency": "USD"},
        {"currency": None},
        {"description": "d "},
        {"expires_at": "2030-01-01T00:00:00.000001Z"},
        {"expires_at": None},
        {"priority": 8},
        *({"metadata": {"a": value}} for value in ("1", 1, 1.5, True, None, "")),
        {"metadata": {}},
        {"metadata": {"a": "1", "b": "1"}},
        {"metadata": {"b": "1"}},
    ]
    bodies = [
        FIELDS,
        *(FIELDS | other for other in others),
        *(plain | {"type": kind} for kind in ("debit", "credit", "topup")),
    ]
    assert len({body_digest(decode(body)) for body in bodies}) == len(bodies)


def test_a_body_is_the_same_after_the_log_has_kept_it():
    command = credit(5, expires_at=after(1), metadata={"b": 0.1, "a": "ü"}, priority=3)
    assert body_digest(decode_command(encode_command(command))) == body_digest(command)
