"""Rejections: a rule said no. The code is stable, the message is for people."""

from typing import Literal

from msgspec import Struct

RejectionCode = Literal[
    "wallet_not_found",
    "wallet_exists",
    "wallet_frozen",
    "wallet_closed",
    "already_frozen",
    "not_frozen",
    "insufficient_funds",
    "reference_conflict",
    "currency_mismatch",
    "expiry_in_past",
    "balance_overflow",
    "too_many_lots",
]


class Rejection(Struct, frozen=True):
    """Why a command was refused."""

    code: RejectionCode
    message: str
