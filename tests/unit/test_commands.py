"""Reading commands: what is taken, and that everything else is refused with a reason."""

import json
from datetime import UTC, datetime

import pytest

from schemas.commands import (
    DETAIL_CHARACTERS_MAX,
    PAYLOAD_BYTES_MAX,
    Close,
    CreateWallet,
    Credit,
    Debit,
    Freeze,
    InvalidCommandError,
    TopUp,
    Unfreeze,
    decode_command,
    encode_command,
)
from schemas.instants import Instant
from schemas.money import AMOUNT_MAX, MINOR_UNIT_DIGITS
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

DEBIT = {"type": '"debit"', "wallet_id": '"wal_1"', "reference": '"r"', "amount": "5"}


def spell(fields):
    """The JSON of an object whose values are given as JSON; None leaves the field out."""
    members = [f'"{name}":{value}' for name, value in fields.items() if value is not None]
    return "{" + ",".join(members) + "}"


def with_field(name, value):
    return spell(DEBIT | {name: value}).encode()


def with_expiry(value):
    return spell(DEBIT | {"type": '"credit"', "expires_at": value}).encode()


def refusal(payload):
    with pytest.raises(InvalidCommandError) as caught:
        decode_command(payload)
    detail = str(caught.value)
    assert 0 < len(detail) <= DETAIL_CHARACTERS_MAX
    assert "\0" not in detail
    assert detail.encode()
    return caught.value.reason


@pytest.mark.parametrize(
    "command",
    [
        create_wallet(metadata={"a": 1}),
        debit(5, currency="GHS", merchant_id="mch_1", environment="live", description="d"),
        credit(5, expires_at=after(1), priority=0, metadata={"a": "x", "b": 0.5, "c": None}),
        topup(5),
        freeze(),
        unfreeze(),
        close(),
    ],
    ids=lambda command: type(command).__name__,
)
def test_every_command_is_read_as_it_was_written(command):
    read = decode_command(encode_command(command))
    assert read == command
    assert type(read) is type(command)


def test_the_shortest_of_each_type_is_taken():
    owner = '"merchant_id":"mch_1","environment":"live","customer_id":"cus_1","currency":"GHS"'
    shortest = {
        CreateWallet: f'"type":"create_wallet",{owner}',
        Debit: '"type":"debit","amount":1',
        Credit: '"type":"credit","amount":1',
        TopUp: '"type":"topup","amount":1',
        Freeze: '"type":"freeze"',
        Unfreeze: '"type":"unfreeze"',
        Close: '"type":"close"',
    }
    for kind, fields in shortest.items():
        payload = f'{{"wallet_id":"wal_1","reference":"r",{fields}}}'.encode()
        assert type(decode_command(payload)) is kind


NOT_JSON = {
    "empty": b"",
    "blank": b"  \n",
    "words": b"hello",
    "cut": spell(DEBIT).encode()[:-1],
    "trailing": spell(DEBIT).encode() + b"x",
    "two": spell(DEBIT).encode() * 2,
    "single quotes": b"{'type':'debit'}",
    "latin 1": spell(DEBIT | {"reference": '"é"'}).encode("latin-1"),
    "overlong": spell(DEBIT | {"reference": '"?"'}).encode().replace(b"?", b"\xc0\x80"),
    "utf-16": spell(DEBIT).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + spell(DEBIT).encode(),
    "bytes": bytes(range(256)),
    "raw control character": with_field("reference", '"a\x01"'),
    "raw NUL": with_field("reference", '"a\0"'),
    "leading zero": with_field("amount", "05"),
    "NaN": with_field("amount", "NaN"),
    "Infinity": with_field("amount", "Infinity"),
    "NaN in metadata": with_field("metadata", '{"a":NaN}'),
    "high surrogate": with_field("reference", '"\\ud83d"'),
    "low surrogate": with_field("reference", '"\\ude00"'),
    "surrogates turned round": with_field("reference", '"\\ude00\\ud83d"'),
    "raw surrogate": with_field("reference", '"?"').replace(b"?", b"\xed\xa0\xbd"),
    "surrogate in a key": with_field("metadata", '{"\\ud83d":1}'),
    "surrogate in an unknown field": b'{"type":"debit","\\ud83d":1}',
    "surrogate in the type": b'{"type":"\\ud83d"}',
}


@pytest.mark.parametrize("payload", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_refused(payload):
    assert refusal(payload) == "malformed_json"


INVALID = {
    "null": b"null",
    "array": b"[]",
    "string": b'"debit"',
    "number": b"5",
    "empty object": b"{}",
    "no type": with_field("type", None),
    "unknown type": with_field("type", '"refund"'),
    "type of another case": with_field("type", '"Debit"'),
    "type null": with_field("type", "null"),
    "type number": with_field("type", "1"),
    "type with NUL": with_field("type", '"debit\\u0000"'),
    "endless type": with_field("type", '"' + "x" * 90_000 + '"'),
    "unknown field": with_field("colour", "1"),
    "unknown field with NUL": with_field("a\\u0000", "1"),
    "endless unknown field": with_field("x" * 90_000, "1"),
    "field of another type": with_field("priority", "1"),
    "expiry of a debit": with_field("expires_at", '"2030-01-01T00:00:00Z"'),
    "no wallet": with_field("wallet_id", None),
    "no reference": with_field("reference", None),
    "no amount": with_field("amount", None),
    "amount 0": with_field("amount", "0"),
    "amount -0": with_field("amount", "-0"),
    "amount negative": with_field("amount", "-1"),
    "amount float": with_field("amount", "5.5"),
    "amount whole float": with_field("amount", "5.0"),
    "amount with exponent": with_field("amount", "5e2"),
    "amount string": with_field("amount", '"5"'),
    "amount true": with_field("amount", "true"),
    "amount null": with_field("amount", "null"),
    "amount list": with_field("amount", "[5]"),
    "amount 2^63": with_field("amount", str(2**63)),
    "amount 2^64 + 5": with_field("amount", str(2**64 + 5)),
    "amount 10^400": with_field("amount", str(10**400)),
    "amount of 90,000 digits": with_field("amount", "1" * 90_000),
    "amount 1e400": with_field("amount", "1e400"),
    "NUL in reference": with_field("reference", '"a\\u0000b"'),
    "NUL after a backslash": with_field("reference", '"\\\\\\u0000"'),
    "NUL in description": with_field("description", '"\\u0000"'),
    "NUL in metadata": with_field("metadata", '{"a":"\\u0000"}'),
    "NUL in a metadata key": with_field("metadata", '{"\\u0000":1}'),
    "reference empty": with_field("reference", '""'),
    "reference too long": with_field("reference", '"' + "x" * 256 + '"'),
    "reference number": with_field("reference", "5"),
    "reference null": with_field("reference", "null"),
    "description too long": with_field("description", '"' + "x" * 1001 + '"'),
    "description null": with_field("description", "null"),
    "metadata null": with_field("metadata", "null"),
    "metadata list": with_field("metadata", "[]"),
    "metadata with 51 keys": with_field(
        "metadata", json.dumps({f"key{number}": number for number in range(51)})
    ),
    "metadata key empty": with_field("metadata", '{"":1}'),
    "metadata key too long": with_field("metadata", '{"' + "k" * 41 + '":1}'),
    "metadata text too long": with_field("metadata", '{"a":"' + "x" * 501 + '"}'),
    "metadata object": with_field("metadata", '{"a":{}}'),
    "metadata array": with_field("metadata", '{"a":[1]}'),
    "metadata 2^63": with_field("metadata", f'{{"a":{2**63}}}'),
    "metadata -2^63 - 1": with_field("metadata", f'{{"a":{-(2**63) - 1}}}'),
    "metadata 1e400": with_field("metadata", '{"a":1e400}'),
    "currency unknown": with_field("currency", '"ZZZ"'),
    "currency XXX": with_field("currency", '"XXX"'),
    "currency gold": with_field("currency", '"XAU"'),
    "currency lower case": with_field("currency", '"ghs"'),
    "currency with newline": with_field("currency", '"GHS\\n"'),
    "currency empty": with_field("currency", '""'),
    "currency number": with_field("currency", "936"),
    "merchant": with_field("merchant_id", '"mer_1"'),
    "merchant newline": with_field("merchant_id", '"mch_1\\n"'),
    "environment": with_field("environment", '"production"'),
    "environment with NUL": with_field("environment", '"\\u0000"'),
    "priority -1": spell(DEBIT | {"type": '"credit"', "priority": "-1"}).encode(),
    "priority 1001": spell(DEBIT | {"type": '"credit"', "priority": "1001"}).encode(),
    "priority null": spell(DEBIT | {"type": '"credit"', "priority": "null"}).encode(),
    "priority float": spell(DEBIT | {"type": '"credit"', "priority": "1.0"}).encode(),
    "40,000 nested arrays": b"[" * 40_000 + b"]" * 40_000,
    "nested arrays in metadata": with_field(
        "metadata", '{"a":' + "[" * 40_000 + "]" * 40_000 + "}"
    ),
    "nested objects in metadata": with_field("metadata", '{"a":' * 15_000 + "1" + "}" * 15_000),
    "nested unknown field": with_field("colour", "[" * 40_000 + "]" * 40_000),
}


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
def test_what_is_no_command_is_refused(payload):
    assert refusal(payload) == "invalid_command"


@pytest.mark.parametrize(
    "wallet_id",
    [
        "",
        "wal_",
        "wal_" + "a" * 41,
        "wal_1\\n",
        "\\nwal_1",
        "wal_1 ",
        "wal-1",
        "WAL_1",
        "xwal_1",
        "cus_1",
        "wal_ä",
        "wal_٣",
        "wal_a-b",
        "wal_a_b",
        "wal_\\u0000",
        "wal_1\\u2028",
    ],
)
def test_a_wallet_id_is_wal_and_letters_or_digits(wallet_id):
    assert refusal(with_field("wallet_id", f'"{wallet_id}"')) == "invalid_command"


@pytest.mark.parametrize("name", ["merchant_id", "environment", "customer_id", "currency"])
@pytest.mark.parametrize("value", [None, "null", '""', "1"])
def test_opening_needs_an_owner(name, value):
    command = json.loads(encode_command(create_wallet()))
    spelt = {field: json.dumps(of) for field, of in command.items()} | {name: value}
    assert refusal(spell(spelt).encode()) == "invalid_command"


def test_opening_needs_a_currency_that_there_is():
    command = json.loads(encode_command(create_wallet()))
    for currency in ("XXX", "XAU", "XTS", "ZZZ"):
        assert refusal(json.dumps(command | {"currency": currency}).encode()) == "invalid_command"


def test_nested_arrays_of_any_size_are_refused():
    assert refusal(b"[" * 100_000) == "payload_too_large"
    assert refusal(b"[" * 100_000 + b"]" * 100_000) == "payload_too_large"
    deep = b'{"metadata":' + b"[" * 45_000 + b"]" * 45_000 + b',"type":"debit"}'
    assert refusal(deep) == "malformed_json"
    assert refusal(b'{"type":"debit","metadata":{"a":' + b"[" * 90_000) == "invalid_command"


def test_a_tombstone_is_refused():
    assert refusal(None) == "null_value"


def test_a_payload_may_fill_the_cap_and_not_pass_it():
    brimming = spell(DEBIT).encode().ljust(PAYLOAD_BYTES_MAX)
    assert decode_command(brimming).amount == 5
    assert refusal(brimming + b" ") == "payload_too_large"


@pytest.mark.parametrize(
    "value",
    [
        '"2030-01-01T00:00:00"',
        '"2030-01-01"',
        '"2030-01-01T00:00Z"',
        '"20300101T000000Z"',
        '"2030-W01-2T00:00:00Z"',
        '"10000-01-01T00:00:00Z"',
        '"0000-01-01T00:00:00Z"',
        '"9999-12-31T23:59:59-00:01"',
        '"9999-12-31T23:59:59-14:00"',
        '"0001-01-01T00:00:00+00:01"',
        '"2030-01-01T00:00:00.1234567Z"',
        '"2030-01-01T00:00:00.0000000Z"',
        '"2030-01-01T00:00:00.Z"',
        '"2030-01-01T00:00:00,5Z"',
        '"2030-02-30T00:00:00Z"',
        '"2030-13-01T00:00:00Z"',
        '"2030-01-01T24:00:00Z"',
        '"2030-01-01T00:60:00Z"',
        '"2030-01-01T23:59:60Z"',
        '"2030-01-01T00:00:00+24:00"',
        '"2030-01-01T00:00:00+01:60"',
        '"2030-01-01T00:00:00+0100"',
        '"2030-01-01T00:00:00+01"',
        '"2030-01-01T00:00:00+01:00:30"',
        '"2030-01-01T00:00:00 Z"',
        '"2030-01-01T00:00:00Z\\n"',
        '"2030-01-01T00:00:00Z\\u0000"',
        '"٢٠٣٠-01-01T00:00:00Z"',
        '"tomorrow"',
        '""',
        "1893456000",
        "1893456000.5",
        "true",
        "{}",
        "[]",
    ],
)
def test_a_time_that_could_be_misread_is_refused(value):
    assert refusal(with_expiry(value)) == "invalid_command"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-01T00:00:00Z", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01t00:00:00z", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01 00:00:00.5Z", datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-01-01T05:30:00+05:30", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2029-12-31T00:01:00-23:59", datetime(2030, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("2028-02-29T00:00:00-00:00", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_turned_into_utc(text, moment):
    expires_at = decode_command(with_expiry(f'"{text}"')).expires_at
    assert (expires_at, expires_at.tzinfo, type(expires_at)) == (moment, UTC, Instant)
    plain = expires_at.plain()
    assert (plain, type(plain)) == (moment, datetime)


LAST_WINS = {
    "amount": ('"amount":6', "amount", 6),
    "escaped": ('"\\u0061mount":7', "amount", 7),
    "reference": ('"reference":"s"', "reference", "s"),
    "type again": ('"type":"debit"', "amount", 5),
    "metadata": ('"metadata":{"a":1},"metadata":{"b":2}', "metadata", {"b": 2}),
    "within metadata": ('"metadata":{"a":1,"\\u0061":2,"a":3}', "metadata", {"a": 3}),
    "back to null": ('"currency":"GHS","currency":null', "currency", None),
}


@pytest.mark.parametrize(("again", "name", "value"), LAST_WINS.values(), ids=LAST_WINS)
def test_of_a_key_twice_the_last_counts(again, name, value):
    command = decode_command(f"{spell(DEBIT)[:-1]},{again}}}".encode())
    assert getattr(command, name) == value
    assert getattr(decode_command(encode_command(command)), name) == value


@pytest.mark.parametrize("again", ['"type":"topup"', '"\\u0074ype":"topup"', '"amount":0'])
def test_a_second_type_and_a_bad_second_value_are_refused(again):
    assert refusal(f"{spell(DEBIT)[:-1]},{again}}}".encode()) == "invalid_command"


def test_a_bad_first_value_is_refused_as_well():
    payload = spell(DEBIT | {"amount": '"x","amount":5'}).encode()
    assert refusal(payload) == "invalid_command"


def test_the_bounds_themselves_are_taken():
    metadata = {f"{number:040}": "😀" * 500 for number in range(30)}
    metadata |= {"-": -(2**63), "+": 2**63 - 1, "f": 1e308, "t": True, "n": None}
    command = debit(
        AMOUNT_MAX,
        wallet_id="wal_" + "Z" * 40,
        reference="😀" * 255,
        description="é" * 1000,
        metadata=metadata,
    )
    assert decode_command(encode_command(command)) == command
    fifty = debit(1, metadata={str(number): number for number in range(50)})
    assert decode_command(encode_command(fifty)) == fifty
    for priority in (0, 1000):
        first = credit(1, priority=priority)
        assert decode_command(encode_command(first)) == first


def test_every_currency_with_a_minor_unit_is_taken():
    assert {"GHS", "USD", "JPY", "KWD"} <= set(MINOR_UNIT_DIGITS)
    assert not {"XXX", "XAU", "XAG", "XTS", "XDR"} & set(MINOR_UNIT_DIGITS)
    for currency in MINOR_UNIT_DIGITS:
        assert decode_command(with_field("currency", f'"{currency}"')).currency == currency


def test_what_only_looks_like_nul_is_text():
    assert decode_command(with_field("reference", '"\\\\u0000"')).reference == "\\u0000"
    assert decode_command(with_field("reference", '"\\\\\\\\u0000"')).reference == "\\\\u0000"


def test_escapes_are_read():
    command = decode_command(with_field("reference", '"\\ud83d\\ude00\\u001f\\/\\n"'))
    assert command.reference == "😀\x1f/\n"
    assert decode_command(encode_command(command)) == command


def test_the_type_may_stand_anywhere():
    turned = dict(reversed(DEBIT.items()))
    assert decode_command(spell(turned).encode()) == decode_command(spell(DEBIT).encode())
