from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from babel.numbers import get_currency_precision, get_currency_symbol

from schemas.money import (
    AMOUNT_MAX,
    MINOR_UNIT_DIGITS,
    format_amount,
    format_decimal,
    is_currency,
)
from schemas.resources import ResourceList, Transaction, Wallet, format_balance

AMOUNTS = [0, 1, 9, 10, 99, 100, 999, 1_000, 99_999, 123_456_789, AMOUNT_MAX]
AMOUNTS += [-amount for amount in AMOUNTS]


def read_back(text: str, currency: str) -> int:
    """What a person reads in a formatted balance, in minor units."""
    negative = text.startswith("-")
    symbol = get_currency_symbol(currency, "en_GH")
    number = text.removeprefix("-")
    assert number.startswith(symbol)
    value = Decimal(number.removeprefix(symbol).strip("\u00a0").replace(",", ""))
    minor = value.scaleb(MINOR_UNIT_DIGITS[currency])
    assert minor == minor.to_integral_value()
    return -int(minor) if negative else int(minor)


@pytest.mark.parametrize("currency", sorted(MINOR_UNIT_DIGITS))
def test_every_currency_reads_back_to_the_amount(currency: str) -> None:
    for amount in AMOUNTS:
        text = format_balance(amount, currency)
        assert read_back(text, currency) == amount, text
        fraction = text.partition(".")[2] if currency != "XCG" else text.rpartition(".")[2]
        assert len(fraction) == MINOR_UNIT_DIGITS[currency]


def test_the_digits_are_those_of_iso_4217_and_not_cldrs() -> None:
    # CLDR would show none of these: money that nobody sees
    differing = {"IQD": 3, "MGA": 2, "IRR": 2, "LBP": 2, "RSD": 2, "UGX": 0, "JPY": 0, "CLF": 4}
    assert {code: MINOR_UNIT_DIGITS[code] for code in differing} == differing
    own = {code: get_currency_precision(code) for code in MINOR_UNIT_DIGITS}
    wrong = {code for code, digits in own.items() if digits != MINOR_UNIT_DIGITS[code]}
    assert {"IQD", "MGA"} <= wrong


@pytest.mark.parametrize(
    "code", ["XAU", "XTS", "XXX", "XDR", "XBA", "ghs", "GH", "GHSS", "", "ZZZ"]
)
def test_what_has_no_minor_unit_is_no_currency_of_a_wallet(code: str) -> None:
    assert not is_currency(code)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (0, "GHS", "GH₵0.00"),
        (5, "GHS", "GH₵0.05"),
        (1_234_567, "GHS", "GH₵12,345.67"),
        (-14_500, "GHS", "-GH₵145.00"),
        (1_234, "USD", "US$12.34"),
        (1_234, "JPY", "JP¥1,234"),
        (1_234_567, "IQD", "IQD\u00a01,234.567"),
        (123, "MGA", "MGA\u00a01.23"),
        (12_345, "CLF", "CLF\u00a01.2345"),
        (1_050, "XCG", "Cg.\u00a010.50"),
        (AMOUNT_MAX, "GHS", "GH₵92,233,720,368,547,758.07"),
    ],
)
def test_balances_look_as_people_write_them(amount: int, currency: str, text: str) -> None:
    assert format_balance(amount, currency) == text


@pytest.mark.parametrize("format_", [format_amount, format_balance])
def test_a_wallet_outlives_its_currency(format_: Callable[[int, str], str]) -> None:
    assert not is_currency("HRK")
    assert format_(-12_345, "HRK") == "-12,345 minor units of HRK"
    assert format_decimal(-12_345, "HRK") == "-12,345"


def test_a_wallet_is_the_documented_json() -> None:
    wallet = Wallet(
        id="wal_a1b2c3",
        customer_id="cus_abc123",
        currency="GHS",
        balance=0,
        balance_formatted=format_balance(0, "GHS"),
        status="active",
        created_at=datetime(2026, 5, 24, 10, tzinfo=UTC),
        metadata=msgspec.Raw(b'{"a": 1e22}'),
    )
    assert msgspec.json.encode(wallet).decode() == (
        '{"id":"wal_a1b2c3","customer_id":"cus_abc123","currency":"GHS","balance":0,'
        '"balance_formatted":"GH₵0.00","status":"active","created_at":"2026-05-24T10:00:00Z",'
        '"metadata":{"a": 1e22}}'
    )


def test_only_what_is_set_of_expires_at_is_written() -> None:
    fields = {
        "id": "txn_1",
        "amount": 5,
        "balance_before": 10,
        "balance_after": 5,
        "reference": "r",
        "description": "",
        "metadata": msgspec.Raw(b"{}"),
        "created_at": datetime(2026, 5, 24, 10, tzinfo=UTC),
    }
    page = ResourceList(
        [
            Transaction(type="debit", **fields),
            Transaction(type="credit", expires_at=None, **fields),
        ],
        has_more=False,
    )
    debit, credit = msgspec.json.decode(msgspec.json.encode(page))["data"]
    assert "expires_at" not in debit
    assert credit["expires_at"] is None
