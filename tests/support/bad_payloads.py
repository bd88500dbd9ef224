"""Payloads that are no command, and the reason that each one's dead letter gives."""

from schemas.commands import PAYLOAD_BYTES_MAX
from tests.support.payloads import create, debit, payload

W = "wal_a1"


def padded(size: int) -> bytes:
    """A debit that is this long."""
    command = debit(W, "big", 1)
    return command + b" " * (size - len(command))


BAD: dict[str, tuple[bytes | None, str]] = {
    "tombstone": (None, "null_value"),
    "empty": (b"", "malformed_json"),
    "no JSON": (b"amount=5", "malformed_json"),
    "no UTF-8": (b'{"type":"debit","wallet_id":"\xff"}', "malformed_json"),
    "nested": (b"[" * 48_000 + b"]" * 48_000, "invalid_command"),
    "nested in metadata": (
        debit(W, "r", 1)[:-1] + b',"metadata":{"a":' + b"[" * 40_000 + b"]" * 40_000 + b"}}",
        "invalid_command",
    ),
    "too large": (padded(PAYLOAD_BYTES_MAX + 1), "payload_too_large"),
    "unknown type": (payload("gift", W, "r"), "invalid_command"),
    "unknown field": (debit(W, "r", 1, tip=1), "invalid_command"),
    "missing field": (payload("debit", W, "r"), "invalid_command"),
    "amount 0": (debit(W, "r", 0), "invalid_command"),
    "negative": (debit(W, "r", -1), "invalid_command"),
    "float": (debit(W, "r", 1.5), "invalid_command"),
    "whole float": (
        b'{"type":"debit","wallet_id":"wal_a1","reference":"r","amount":500.0}',
        "invalid_command",
    ),
    "string": (debit(W, "r", "5"), "invalid_command"),
    "true": (debit(W, "r", True), "invalid_command"),
    "2^63": (debit(W, "r", 2**63), "invalid_command"),
    "10^400": (
        b'{"type":"debit","wallet_id":"wal_a1","reference":"r","amount":1' + b"0" * 400 + b"}",
        "invalid_command",
    ),
    "NaN": (
        b'{"type":"debit","wallet_id":"wal_a1","reference":"r","amount":NaN}',
        "malformed_json",
    ),
    "NUL": (debit(W, "a\0b", 1), "invalid_command"),
    "NUL in metadata": (debit(W, "r", 1, metadata={"a\0": "b"}), "invalid_command"),
    "lone surrogate": (
        b'{"type":"debit","wallet_id":"wal_a1","reference":"\\ud800","amount":1}',
        "malformed_json",
    ),
    "reference too long": (debit(W, "r" * 256, 1), "invalid_command"),
    "too many keys": (
        debit(W, "r", 1, metadata={f"k{number}": 1 for number in range(51)}),
        "invalid_command",
    ),
    "no zone": (
        payload("credit", W, "r", amount=1, expires_at="2030-01-01T00:00:00"),
        "invalid_command",
    ),
    "year 10000": (
        payload("credit", W, "r", amount=1, expires_at="10000-01-01T00:00:00Z"),
        "invalid_command",
    ),
    "out of range in UTC": (
        payload("credit", W, "r", amount=1, expires_at="9999-12-31T23:59:59-14:00"),
        "invalid_command",
    ),
    "currency": (create(W, currency="XXX"), "invalid_command"),
    "wallet id": (debit("W1", "r", 1), "invalid_command"),
    "long wallet id": (debit("wal_" + "a" * 41, "r", 1), "invalid_command"),
    "two types": (b'{"type":"debit","type":"topup","wallet_id":"wal_a1"}', "invalid_command"),
}
