"""The state of one wallet, as its history folds into it, and how a snapshot holds it."""

from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Final, Literal

import msgspec
from msgspec import Struct

from schemas.ids import Environment

LOTS_MAX: Final = 1000
"""Live lots of a wallet. A top-up, which is money that has been paid, may make one more."""

_STATE_REVISION: Final = 1
"""To be raised when the same history folds into other values of the same fields."""


class HistoryError(ValueError):
    """An event can't follow the state it is applied to: the history is not whole.

    HistoryError
    └── LotMissingError  it names a lot, or an amount of it, that the wallet doesn't have
    """

    code = "history_broken"


Status = Literal["active", "frozen", "closed"]


class Lot(Struct, frozen=True, array_like=True, gc=False):
    """Money that came in together. `id` is the version of the entry that made it."""

    id: int
    remaining: int
    expires_at: datetime | None
    priority: int


class Wallet(Struct, frozen=True, array_like=True, gc=False):
    """A wallet after `version` entries; amounts are in the currency's minor unit.

    `lots` stand in the order they are burnt. `balance` is what they hold less what is `owed`, and
    nothing is owed while there are lots. `next_expiry` is the earliest expiry of any lot.
    """

    merchant_id: str
    environment: Environment
    customer_id: str
    currency: str
    status: Status
    version: int
    balance: int
    owed: int
    credit_limit: int
    lots: tuple[Lot, ...]
    next_expiry: datetime | None


@cache
def fingerprint() -> bytes:
    """Names the shape of the state (16 bytes): a snapshot of another one can't be read."""
    shape = [
        f"{struct.__name__}.{field.encode_name}: {field.type}"
        for struct in (Wallet, Lot)
        for field in msgspec.structs.fields(struct)
    ]
    text = "\n".join([str(_STATE_REVISION), *shape])
    return blake2b(text.encode(), digest_size=16).digest()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Wallet)


def encode_wallet(wallet: Wallet) -> bytes:
    """The state as a snapshot holds it; only readable under the same `fingerprint`."""
    return _encoder.encode(wallet)


def decode_wallet(data: bytes) -> Wallet:
    """Read a snapshot; raises msgspec.ValidationError or DecodeError if it is none."""
    return _decoder.decode(data)
