"""Amounts and currencies.

An amount is an integer in the currency's minor unit (500 is GHS 5.00), from 1 to `AMOUNT_MAX`.
Currencies and their minor units come from ISO 4217.
"""

from typing import Annotated

from iso4217 import Currency as IsoCurrency
from msgspec import Meta

AMOUNT_MAX = 2**63 - 1

MINOR_UNIT_DIGITS: dict[str, int] = {
    currency.code: currency.exponent for currency in IsoCurrency if currency.exponent is not None
}


def is_currency(code: str) -> bool:
    """Whether a wallet can be held in `code`: in ISO 4217, and with a minor unit (not XAU)."""
    return code in MINOR_UNIT_DIGITS


Amount = Annotated[
    int,
    Meta(
        ge=1,
        le=AMOUNT_MAX,
        description="In the smallest unit of the currency.",
        extra={"requirement": "a positive integer"},
    ),
]
Currency = Annotated[
    str,
    Meta(
        pattern="^[A-Z]{3}$(?!\n)",
        description="An ISO 4217 code with a minor unit.",
        extra={"requirement": "an ISO 4217 currency code", "accepts": is_currency},
    ),
]


def format_amount(amount: int, currency: str) -> str:
    """`amount` minor units as a decimal number followed by the code: `145.00 GHS`.

    In minor units where ISO 4217 has the code no more: wallets outlive currencies.
    """
    if not is_currency(currency):
        return f"{amount:,} minor units of {currency}"
    return f"{format_decimal(amount, currency)} {currency}"


def format_decimal(amount: int, currency: str) -> str:
    """The number alone: `1,145.00`. In minor units where ISO 4217 does not have the code."""
    digits = MINOR_UNIT_DIGITS.get(currency, 0)
    sign = "-" if amount < 0 else ""
    whole, fraction = divmod(abs(amount), 10**digits)
    decimals = f".{fraction:0{digits}d}" if digits else ""
    return f"{sign}{whole:,}{decimals}"
