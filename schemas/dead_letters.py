"""Dead letters: records that no command could be read from, or that broke the decider."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

DeadLetterReason = Literal[
    "null_value",
    "payload_too_large",
    "malformed_json",
    "invalid_command",
    "misrouted",
    "decider_failed",
    "refused_by_database",
]


class DeadLetter(Struct, frozen=True, kw_only=True):
    """As published on `wallet.dead-letters`; the database row keeps all bytes.

    `key` and `payload` are base64. They are cut to `PUBLISHED_KEY_BYTES_MAX` and
    `PUBLISHED_BYTES_MAX`; `payload_bytes` says how many the record had.
    """

    shard: int
    offset: int
    reason: DeadLetterReason
    detail: str
    occurred_at: datetime
    key: bytes | None
    payload: bytes | None
    payload_bytes: int


PUBLISHED_BYTES_MAX = 256 * 1024
PUBLISHED_KEY_BYTES_MAX = 1024
