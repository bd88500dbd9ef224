"""Prefixed identifiers and who owns a wallet."""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

_LENGTH = "{1,40}"


def _pattern(prefix: str) -> str:
    # `$` alone would let a trailing newline pass
    return f"^{prefix}_[A-Za-z0-9]{_LENGTH}$(?!\n)"


WalletId = Annotated[
    str,
    Meta(
        pattern=_pattern("wal"),
        examples=["wal_a1b2c3"],
        extra={"requirement": "the id of a wallet"},
    ),
]
CustomerId = Annotated[
    str,
    Meta(
        pattern=_pattern("cus"),
        examples=["cus_abc123"],
        extra={"requirement": "the id of a customer"},
    ),
]
MerchantId = Annotated[str, Meta(pattern=_pattern("mch"), examples=["mch_a1b2c3"])]
Environment = Literal["sandbox", "live"]


class Owner(NamedTuple):
    """Whose a resource is; nothing of one owner is ever seen by another."""

    merchant_id: str
    environment: Environment


def transaction_id(shard: int, command_id: str) -> str:
    """The public id of an entry: `txn_`, its shard in 4 and its command id in 32 hex digits.

    It is the same on every replay, and enough to find the entry without an index of its own.
    """
    return f"txn_{shard:04x}{command_id}"


def parse_transaction_id(text: str) -> tuple[int, bytes]:
    """The shard and the 16-byte command id in a transaction id; ValueError for anything else."""
    prefix, _, digits = text.partition("_")
    if prefix != "txn" or len(digits) != 36 or not digits.isascii() or not digits.isalnum():
        raise ValueError(f"{text[:60]!r} is not a transaction id")
    return int(digits[:4], 16), bytes.fromhex(digits[4:])
