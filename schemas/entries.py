"""Log entries: one event with its place, as it stands in the log and on `wallet.events`."""

from datetime import datetime

import msgspec
from msgspec import Struct

from schemas.commands import decode_hook, encode_hook
from schemas.events import AnyEvent
from schemas.ids import Environment

SCHEMA_VERSION = 1
"""Grows with every new kind of event. An engine does not claim a shard that a newer one wrote."""


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of a shard.

    `position` counts from 0 in the shard, `version` from 1 in the wallet (null for a rejection).
    `command_id` and `body_digest` are 32 hex digits. `offset` is that of the command in the
    partition of the shard's number (null: a timer made the entry), `last` marks the last entry of
    its command. `merchant_id` and `environment` are null where the wallet does not exist.
    """

    shard: int
    position: int
    wallet_id: str
    version: int | None
    merchant_id: str | None
    environment: Environment | None
    command_id: str
    body_digest: str | None
    offset: int | None
    last: bool
    occurred_at: datetime
    event: AnyEvent


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)
_decoder = msgspec.json.Decoder(Entry, dec_hook=decode_hook)


def encode_entry(entry: Entry) -> bytes:
    """The entry's bytes: the same in the log, on the topic and under the Merkle tree."""
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """Read an entry; raises msgspec.DecodeError for what is none, or a newer release's."""
    try:
        return _decoder.decode(data)
    except RecursionError as error:
        raise msgspec.DecodeError(str(error)) from None
