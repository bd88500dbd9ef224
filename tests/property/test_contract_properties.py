"""The command schema and the decoder are of one mind about whatever a sender can write."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.commands import InvalidCommandError, decode_command
from schemas.json_schemas import command_schema
from schemas.money import is_currency

VALIDATOR = Draft202012Validator(command_schema())

ID_ENDINGS = ["a1", "a" * 40, "", "a" * 41, "a-b", "a\n", "ä"]
MONEY = {"amount", "currency", "description", "metadata", "merchant_id", "environment"}
OPTIONAL = {
    "create_wallet": {"metadata"},
    "debit": MONEY,
    "topup": MONEY,
    "credit": MONEY | {"expires_at", "priority"},
}
REQUIRED = {
    "create_wallet": {"merchant_id", "environment", "customer_id", "currency"},
    "debit": {"amount"},
    "topup": {"amount"},
    "credit": {"amount"},
}
TEXTS = st.text(max_size=3) | st.sampled_from(
    ["x" * length for length in (40, 41, 255, 256, 500, 501, 1000, 1001)]
)
NUMBERS = st.sampled_from([0, 1, 1000, 1001, -1, 0.5, -(2**63), 2**63 - 1, 2**63])
SCALARS = st.none() | st.booleans() | TEXTS | NUMBERS
FIELDS: dict[str, list[Any]] = {
    "type": ["create_wallet", "debit", "credit", "topup", "freeze", "unfreeze", "close", "hold"],
    "wallet_id": [f"wal_{ending}" for ending in ID_ENDINGS],
    "reference": ["r", "r" * 255, "", "r" * 256, "r\0"],
    "merchant_id": [f"mch_{ending}" for ending in ID_ENDINGS],
    "environment": ["live", "sandbox", "test"],
    "customer_id": [f"cus_{ending}" for ending in ID_ENDINGS],
    "currency": ["GHS", "JPY", "ghs", "GHSX", "GHS\n"],
    "amount": [1, 2**63 - 1, 0, -1, 2**63, "5"],
    "description": ["d" * 1000, "d" * 1001, "\0"],
    "metadata": [{}, {"k": []}, {f"k{n}": n for n in range(51)}],
    "expires_at": [
        "2030-01-01T00:00:00Z",
        "2030-01-01 00:00:00.123456+05:30",
        "2030-01-01T00:00:00.1234567Z",
        "2030-01-01T00:00:00",
        "20300101T000000Z",
        "10000-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z\n",
    ],
    "priority": [0, 1000, -1, 1001],
}


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """A command that is right to begin with, and then spoilt in up to two places."""
    kind = draw(st.sampled_from(FIELDS["type"][:-1]))
    optional = OPTIONAL.get(kind, {"merchant_id", "environment"})
    names = {"wallet_id", "reference"} | REQUIRED.get(kind, set())
    names |= draw(st.sets(st.sampled_from(sorted(optional))))
    payload = {"type": kind} | {name: FIELDS[name][0] for name in sorted(names)}
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2)):
        payload[name] = draw(st.sampled_from(FIELDS[name]) | SCALARS)
    if "metadata" in payload:
        payload["metadata"] = draw(
            st.dictionaries(TEXTS, SCALARS, max_size=2) | st.sampled_from(FIELDS["metadata"])
        )
    if draw(st.integers(0, 9)) == 0:
        del payload[draw(st.sampled_from(sorted(payload)))]
    return payload


def _beyond_a_schema(payload: dict[str, Any]) -> bool:
    currency, metadata = payload.get("currency"), payload.get("metadata")
    wide = isinstance(metadata, dict) and 2**63 in metadata.values()
    coded = isinstance(currency, str) and len(currency) == 3 and not is_currency(currency)
    return wide or coded


def _accepted(payload: Any) -> bool:
    try:
        decode_command(json.dumps(payload).encode())
    except InvalidCommandError:
        return False
    return True


@settings(max_examples=200, deadline=None)
@given(payloads())
@example({"type": "debit", "wallet_id": "wal_a1", "reference": "r", "amount": 1})
def test_the_schema_takes_what_the_decoder_takes(payload: dict[str, Any]) -> None:
    if not _beyond_a_schema(payload):
        assert VALIDATOR.is_valid(payload) == _accepted(payload)
