"""Commands: what upstream services ask of a wallet.

Each is one JSON object on `wallet.commands`, told apart by `type`. Unknown fields are refused.
Where a key stands twice in an object, the last one counts, but each has to be valid by itself and
a second, different `type` is refused.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from schemas.ids import CustomerId, Environment, MerchantId, WalletId
from schemas.instants import Instant, to_text
from schemas.money import AMOUNT_MAX, Amount, Currency, is_currency

PAYLOAD_BYTES_MAX: Final = 96 * 1024
METADATA_KEYS_MAX: Final = 50
DETAIL_CHARACTERS_MAX: Final = 500
PRIORITY_DEFAULT: Final = 100

_NO_NUL = {"not": {"pattern": "\\u0000"}}

Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        extra_json_schema=_NO_NUL,
        description="The caller's unique reference in this wallet: the key of idempotency.",
        extra={"requirement": "a string of 1 to 255 characters"},
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=1000,
        extra_json_schema=_NO_NUL,
        extra={"requirement": "a string of at most 1000 characters"},
    ),
]
MetadataKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=40,
        extra_json_schema=_NO_NUL,
        extra={"requirement": "1 to 40 characters long"},
    ),
]
MetadataText = Annotated[str, Meta(max_length=500, extra_json_schema=_NO_NUL)]
MetadataInteger = Annotated[int, Meta(ge=-AMOUNT_MAX - 1, le=AMOUNT_MAX)]
MetadataValue = Annotated[
    MetadataText | MetadataInteger | float | bool | None,
    Meta(
        extra={
            "requirement": "a string of at most 500 characters, a number within 64 bits,"
            " true, false or null"
        }
    ),
]
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    Meta(
        max_length=METADATA_KEYS_MAX,
        extra={"requirement": f"an object of at most {METADATA_KEYS_MAX} keys"},
    ),
]
Priority = Annotated[
    int,
    Meta(
        ge=0,
        le=1000,
        description="0 is burnt first, 1000 last.",
        extra={"requirement": "an integer from 0 to 1000"},
    ),
]


class Command(
    Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    forbid_unknown_fields=True,
    omit_defaults=True,
    gc=False,
):
    """What every command carries.

    `merchant_id` and `environment` may be set to say whose wallet the sender means: a wallet of
    somebody else is then `wallet_not_found`.
    """

    wallet_id: WalletId
    reference: Reference


class _OwnedCommand(Command, frozen=True, kw_only=True, gc=False):
    merchant_id: MerchantId | None = None
    environment: Environment | None = None


class CreateWallet(Command, frozen=True, kw_only=True, tag="create_wallet"):
    """Open a wallet with a balance of 0."""

    merchant_id: MerchantId
    environment: Environment
    customer_id: CustomerId
    currency: Currency
    metadata: Metadata = {}


class _MoneyCommand(_OwnedCommand, frozen=True, kw_only=True, gc=False):
    amount: Amount
    currency: Currency | None = None
    description: Description = ""
    metadata: Metadata = {}


class Debit(_MoneyCommand, frozen=True, kw_only=True, tag="debit"):
    """Take `amount` out, all or nothing."""


class Credit(_MoneyCommand, frozen=True, kw_only=True, tag="credit"):
    """Grant `amount` without a payment, until `expires_at` if that is given."""

    expires_at: Instant | None = None
    priority: Priority = PRIORITY_DEFAULT


class TopUp(_MoneyCommand, frozen=True, kw_only=True, tag="topup"):
    """Add `amount` that has been paid for."""


class Freeze(_OwnedCommand, frozen=True, kw_only=True, tag="freeze"):
    """Block what takes money out."""


class Unfreeze(_OwnedCommand, frozen=True, kw_only=True, tag="unfreeze"):
    """Allow debits again."""


class Close(_OwnedCommand, frozen=True, kw_only=True, tag="close"):
    """Close for ever; what is left is written off."""


AnyCommand = CreateWallet | Debit | Credit | TopUp | Freeze | Unfreeze | Close


class InvalidCommandError(ValueError):
    """A payload that is no valid command. `reason` is a stable code, the text says what to mend.

    The text is at most `DETAIL_CHARACTERS_MAX` long and free of NUL, which no database takes, even
    where it quotes the payload.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail.replace("\0", "\\u0000")[:DETAIL_CHARACTERS_MAX])
        self.reason = reason


def decode_hook(wanted: type, value: object) -> Instant:
    """How a command's Instant is read from JSON."""
    if wanted is not Instant or not isinstance(value, str):
        raise ValueError("Expected an RFC 3339 time with a zone, as text")
    return Instant.parse(value)


_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand, dec_hook=decode_hook)


def decode_command(payload: bytes | None) -> AnyCommand:
    """Read and check one command; raises InvalidCommandError with a code and a sentence."""
    if payload is None:
        raise InvalidCommandError("null_value", "The record has no value (a tombstone).")
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise InvalidCommandError(
            "payload_too_large",
            f"The payload has {len(payload)} bytes; at most {PAYLOAD_BYTES_MAX} are taken.",
        )
    try:
        command: AnyCommand = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise InvalidCommandError("invalid_command", str(error)) from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise InvalidCommandError("malformed_json", str(error)) from None
    check_currency(command)
    # JSON can hold NUL only as this escape, which an escaped backslash can also spell
    if b"\\u0000" in payload:
        _check_no_nul(msgspec.to_builtins(command, enc_hook=str))
    return command


def check_currency(command: AnyCommand) -> None:
    """Raise InvalidCommandError if the command names a currency no wallet can be held in."""
    currency = getattr(command, "currency", None)
    if currency is not None and not is_currency(currency):
        raise InvalidCommandError(
            "invalid_command",
            f"{currency!r} is not an ISO 4217 currency with a minor unit - at `$.currency`",
        )


def _check_no_nul(value: object) -> None:
    if isinstance(value, str) and "\0" in value:
        raise InvalidCommandError("invalid_command", "Text must not contain NUL (U+0000).")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_no_nul(key)
            _check_no_nul(item)


def encode_hook(value: object) -> str:
    """How a command's Instant is written in JSON."""
    if isinstance(value, Instant):
        return to_text(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in a command")


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)


def encode_command(command: AnyCommand) -> bytes:
    """The command as JSON, defaults left out."""
    return _encoder.encode(command)
