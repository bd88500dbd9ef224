from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from api.bodies import decode_body
from api.calls import NoBody
from api.errors import InvalidBodyError
from api.wallets.moving import DebitBody
from schemas.commands import Description, Metadata, Priority, Reference
from schemas.ids import CustomerId
from schemas.instants import Instant
from schemas.money import Amount, Currency

NO_OBJECT = "The body must be a JSON object."


class CreditLike(Struct, frozen=True, kw_only=True):
    amount: Amount
    description: Description
    reference: Reference
    metadata: Metadata = {}
    expires_at: Instant | None = None
    priority: Priority = 100
    currency: Currency | None = None
    customer_id: CustomerId | None = None


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    street: Annotated[str, Meta(max_length=9, extra={"requirement": "a short street"})]
    number: int | None = None


class PatchLike(Struct, frozen=True, kw_only=True):
    name: str | UnsetType | None = UNSET
    email: str | UnsetType = UNSET
    place: Place | UnsetType | None = UNSET
    others: list[Place] = []


class Named(Struct, frozen=True):
    name: str


GOOD: dict[str, Any] = {"amount": 5, "description": "10 SMS", "reference": "r_1"}


def refusal(data: bytes, kind: type[Struct] = CreditLike, *, strict: bool = False) -> str:
    with pytest.raises(InvalidBodyError) as refused:
        decode_body(data, kind, strict=strict)
    return str(refused.value)


def refusal_of(kind: type[Struct] = CreditLike, *, strict: bool = False, **fields: Any) -> str:
    given = GOOD | fields if kind is CreditLike else fields
    return refusal(msgspec.json.encode(given), kind, strict=strict)


@pytest.mark.parametrize("strict", [False, True])
def test_a_good_body_is_read(strict) -> None:
    fields = GOOD | {
        "metadata": {"a": "é", "b": 2**63 - 1, "c": 1.5, "d": None, "e": True},
        "expires_at": "2030-01-01T00:00:00+01:00",
        "priority": 0,
        "currency": "GHS",
        "customer_id": "cus_1",
    }
    body = decode_body(msgspec.json.encode(fields), CreditLike, strict=strict)
    assert msgspec.structs.asdict(body) == fields | {
        "expires_at": Instant.parse("2029-12-31T23:00:00Z")
    }


@pytest.mark.parametrize(
    "amount", ["0", "-1", "5.0", "1e2", '"5"', "true", "null ", "[]", str(2**63), "9" * 5000,
               "-" + "9" * 5000, "1e999", "5.5"],
)  # fmt: skip
def test_an_amount_is_a_positive_integer(amount) -> None:
    data = b'{"amount":%b,"description":"","reference":"r"}' % amount.encode()
    wanted = "required" if "null" in amount else "a positive integer"
    assert refusal(data) == f"amount {'is' if 'null' in amount else 'must be'} {wanted}."


def test_an_amount_may_be_all_that_64_bits_hold() -> None:
    body = decode_body(msgspec.json.encode(GOOD | {"amount": 2**63 - 1}), CreditLike, strict=True)
    assert body.amount == 2**63 - 1


@pytest.mark.parametrize("name", GOOD)
def test_a_field_that_is_missing_is_named(name) -> None:
    left = {key: value for key, value in GOOD.items() if key != name}
    assert refusal(msgspec.json.encode(left)) == f"{name} is required."


_TIME = "expires_at must be an RFC 3339 time with a zone and at most six fractional digits of a second."
_REFERENCE = "reference must be a string of 1 to 255 characters."
_METADATA = "metadata must be an object of at most 50 keys."
_VALUE = (
    "must be a string of at most 500 characters, a number within 64 bits, true, false or null."
)
_CURRENCY = "currency must be an ISO 4217 currency code."
_PRIORITY = "priority must be an integer from 0 to 1000."
_NUL = "must be text without NUL (U+0000) or half characters."


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("reference", "", _REFERENCE),
        ("reference", "r" * 256, _REFERENCE),
        ("reference", 5, _REFERENCE),
        ("reference", "a\0", f"reference {_NUL}"),
        ("description", ["x"], "description must be a string of at most 1000 characters."),
        ("description", "x" * 1001, "description must be a string of at most 1000 characters."),
        ("metadata", [], _METADATA),
        ("metadata", {str(number): 1 for number in range(51)}, _METADATA),
        ("metadata", {"ok": 1, "foo": {}}, f"metadata.foo {_VALUE}"),
        ("metadata", {"foo": "x" * 501}, f"metadata.foo {_VALUE}"),
        ("metadata", {"foo": 2**63}, f"metadata.foo {_VALUE}"),
        ("metadata", {"foo": "\0"}, f"metadata.foo {_NUL}"),
        ("metadata", {"\0": 1}, f"each key of metadata {_NUL}"),
        ("metadata", {"k" * 41: 1}, "each key of metadata must be 1 to 40 characters long."),
        ("metadata", {"": 1}, "each key of metadata must be 1 to 40 characters long."),
        ("expires_at", "2030-01-01T00:00:00", _TIME),
        ("expires_at", "2030-01-01T00:00:00.1234567Z", _TIME),
        ("expires_at", "tomorrow", _TIME),
        ("expires_at", 5, _TIME),
        ("priority", -1, _PRIORITY),
        ("priority", 1001, _PRIORITY),
        ("priority", 1.0, _PRIORITY),
        ("priority", True, _PRIORITY),
        ("currency", "ghs", _CURRENCY),
        ("currency", "XAU", _CURRENCY),
        ("currency", "XXY", _CURRENCY),
        ("currency", "GHS\n", _CURRENCY),
        ("currency", 936, _CURRENCY),
        ("customer_id", "wal_1", "customer_id must be the id of a customer."),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(name, value, message) -> None:
    assert refusal_of(**{name: value}) == message


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\ud83dx"])
def test_half_a_character_is_no_text(escape) -> None:
    data = b'{"amount":1,"description":"%b","reference":"r"}' % escape.encode()
    assert refusal(data) == f"description {_NUL}"
    whole = data.replace(escape.encode(), rb"\ud83d\ude00")
    assert decode_body(whole, CreditLike, strict=False).description == "😀"


def test_null_stands_for_an_absent_field() -> None:
    optional = dict.fromkeys(
        ("metadata", "expires_at", "priority", "currency", "customer_id"), None
    )
    data = msgspec.json.encode(GOOD | optional)
    plain = decode_body(msgspec.json.encode(GOOD), CreditLike, strict=True)
    assert decode_body(data, CreditLike, strict=True) == plain


def test_null_can_be_told_from_an_absent_field_where_both_have_a_meaning() -> None:
    body = decode_body(b'{"name":null,"place":null,"email":null}', PatchLike, strict=True)
    assert (body.name, body.place, body.email) == (None, None, UNSET)
    assert decode_body(b"{}", PatchLike, strict=True).name is UNSET


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"[]", b"null", b'"a"', b"1", b"{", b"{}x", b"{}{}", b"{'a':1}", b'{"a":1,}',
        b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16"), b'{"a":"\n"}', b'{"a":01}', b"\0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [CreditLike, NoBody])
def test_what_is_no_json_object_is_refused(data, kind) -> None:
    if data or kind is not NoBody:
        assert refusal(data, kind) == NO_OBJECT


@pytest.mark.parametrize("kind", [CreditLike, NoBody])
def test_a_body_of_too_many_levels_is_refused(kind) -> None:
    for data in (b'{"a":' * 10_000, b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}"):
        assert refusal(data, kind).startswith("The body must be a JSON object")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"amount":1,"reference":"r","amount":1,"description":""}', "amount"),
        (b'{"amount":1,"metadata":{"foo":1,"bar":2,"foo":1}}', "foo"),
        (b'{"x":[{"y":1,"\\u0079":2}]}', "y"),
        (b'{"\\ud800":1,"\\ud800":2}', "?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [CreditLike, NoBody])
def test_a_key_that_stands_twice_is_refused_at_every_level(data, name, kind) -> None:
    assert refusal(data, kind) == f"{name} must be given once."


def test_an_unknown_field_is_passed_over_unless_strict() -> None:
    data = msgspec.json.encode(GOOD | {"colour": {"deep": [1]}})
    assert decode_body(data, CreditLike, strict=False).reference == "r_1"
    assert refusal(data, strict=True) == "colour is not a field of this request."
    assert decode_body(b'{"x":1}', NoBody, strict=False) == NoBody()
    assert refusal(b'{"x":1}', NoBody, strict=True) == "x is not a field of this request."


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"place": {"street": "Ring", "town": "Accra"}}, "place.town"),
        ({"others": [{"street": "a"}, {"street": "b", "x": 1}]}, "others[1].x"),
    ],
)
def test_an_unknown_field_within_an_object_is_treated_the_same(body, name) -> None:
    data = msgspec.json.encode(body)
    assert refusal(data, PatchLike, strict=True) == f"{name} is not a field of this request."
    assert decode_body(data, PatchLike, strict=False) is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"place": {}}, "place.street is required."),
        ({"place": {"street": "x" * 10}}, "place.street must be a short street."),
        ({"place": {"street": "x", "number": "1"}}, "place.number must be an integer."),
        ({"others": [{"street": "x"}, {"street": 1}]}, "others[1].street must be a short street."),
        ({"others": {}}, "others must be a list."),
        ({"others": [1]}, "others[0] must be an object."),
        ({"name": 1}, "name must be a string."),
    ],
)
def test_a_field_within_an_object_is_named_with_its_path(body, message) -> None:
    assert refusal_of(PatchLike, **body) == message


def test_a_long_name_is_cut_short_in_the_answer() -> None:
    message = refusal_of(strict=True, **{"k" * 60_000: 1})
    assert message == f"{'k' * 60}… is not a field of this request."


def test_no_body_is_fine_where_none_is_needed() -> None:
    assert decode_body(b"", NoBody, strict=True) == NoBody()
    assert decode_body(b"{}", NoBody, strict=True) == NoBody()


@pytest.mark.parametrize("description", ["", "x" * 1001])
def test_a_debit_has_a_reason_that_is_not_empty(description) -> None:
    message = "description must be a string of 1 to 1000 characters."
    assert refusal_of(DebitBody, **GOOD | {"description": description}) == message


@pytest.mark.parametrize("number", ["1e999", "-1e400", "9" * 400])
def test_a_number_that_nothing_can_hold_is_no_value(number) -> None:
    data = b'{"amount":1,"description":"","reference":"r","metadata":{"foo":%b}}'
    assert refusal(data % number.encode()) == f"metadata.foo {_VALUE}"


def test_nul_is_refused_in_every_text() -> None:
    assert refusal(b'{"name":"a\\u0000b"}', Named) == f"name {_NUL}"
    assert refusal(b'{"place":{"street":"\\u0000"}}', PatchLike) == f"place.street {_NUL}"
    assert decode_body(b'{"name":"a\\\\u0000b"}', PatchLike, strict=True).name == r"a\u0000b"
