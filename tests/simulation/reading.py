"""Reads a command as the contract's document tells it, without the contract's code."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAYLOAD_BYTES_MAX: Final = 96 * 1024


class Undecodable(Exception):  # noqa: N818 it is an answer
    """This is no command; its dead letter has one of these reasons."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


def read_command(payload: bytes | None) -> dict[str, Any]:
    """Its fields, without those that say no more than their absence, and times as numbers."""
    if payload is None:
        raise Undecodable("null_value")
    if len(payload) > _PAYLOAD_BYTES_MAX:
        raise Undecodable("payload_too_large")
    try:
        fields = json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise Undecodable("malformed_json", "invalid_command") from None
    if not isinstance(fields, dict) or not _is_command(fields):
        raise Undecodable("invalid_command")
    return without_absent(fields)


def without_absent(fields: dict[str, Any]) -> dict[str, Any]:
    """A command's fields less those that say no more than their absence, and times as numbers."""
    said = {name: value for name, value in fields.items() if value != _ABSENT.get(name, ...)}
    if "expires_at" in said:
        said["expires_at"] = microseconds(said["expires_at"])
    return said


@lru_cache(10_000)
def microseconds(text: str) -> int:
    """RFC 3339 as microseconds since 1970; ValueError without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _is_command(fields: dict[str, Any]) -> bool:
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return False
    required, optional = _FIELDS[kind]
    names = fields.keys() - {"type"}
    return (
        required <= names <= required | optional
        and all(_RULES[name](fields[name]) for name in required)
        and all(
            _RULES[name](value) or (value is None and _ABSENT[name] is None)
            for name, value in fields.items()
            if name in optional
        )
    )


def _text(value: object, shortest: int, longest: int) -> bool:
    return isinstance(value, str) and shortest <= len(value) <= longest and "\0" not in value


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _whole(value: object, smallest: int, largest: int) -> bool:
    return type(value) is int and smallest <= value <= largest


def _moment(value: object) -> bool:
    try:
        return isinstance(value, str) and microseconds(value) is not None
    except ValueError:
        return False


def _metadata(value: object) -> bool:
    return isinstance(value, dict) and all(
        _text(key, 1, 40) and (isinstance(item, int | float | None) or _text(item, 0, 500))
        for key, item in value.items()
    )


_ABSENT: Final[dict[str, Any]] = {
    "merchant_id": None,
    "environment": None,
    "currency": None,
    "description": "",
    "metadata": {},
    "expires_at": None,
    "priority": 100,
}
_RULES: Final[dict[str, Callable[[Any], bool]]] = {
    "wallet_id": _matches(r"wal_[A-Za-z0-9]{1,40}"),
    "reference": partial(_text, shortest=1, longest=255),
    "merchant_id": _matches(r"mch_[A-Za-z0-9]{1,40}"),
    "environment": lambda value: value in {"sandbox", "live"},
    "customer_id": _matches(r"cus_[A-Za-z0-9]{1,40}"),
    "currency": lambda value: value in {"GHS", "USD", "JPY", "EUR"},
    "amount": partial(_whole, smallest=1, largest=2**63 - 1),
    "description": partial(_text, shortest=0, longest=1000),
    "metadata": _metadata,
    "expires_at": _moment,
    "priority": partial(_whole, smallest=0, largest=1000),
}
_NAMED: Final = {"wallet_id", "reference"}
_OWNER: Final = {"merchant_id", "environment"}
_MONEY: Final = _OWNER | {"currency", "description", "metadata"}
_FIELDS: Final[dict[str, tuple[set[str], set[str]]]] = {
    "create_wallet": (_NAMED | _OWNER | {"customer_id", "currency"}, {"metadata"}),
    "debit": (_NAMED | {"amount"}, _MONEY),
    "topup": (_NAMED | {"amount"}, _MONEY),
    "credit": (_NAMED | {"amount"}, _MONEY | {"expires_at", "priority"}),
    "freeze": (_NAMED, _OWNER),
    "unfreeze": (_NAMED, _OWNER),
    "close": (_NAMED, _OWNER),
}
