"""What senders and callers can hand over as they please, each with what must hold whatever it is.

A target takes any bytes. It returns nothing, or raises: then what it tests is broken.
"""

import json
from collections.abc import Callable
from typing import Final

from api.access.authentication import _credentials
from api.bodies import decode_body
from api.cursors import Cursors, origin_of
from api.errors import InvalidBodyError, TokenMalformedError
from api.operations import OPERATIONS
from api.parameters import ListQuery
from api.secret_keys import SecretKeys
from engine.intake import take_in
from projections.pages import Anchor
from schemas.commands import decode_command, encode_command
from schemas.digests import body_digest
from schemas.ids import Owner
from tests.support.batches import FakeRecord

_PARTITIONS: Final = 4
_TEXT_CHARACTERS_MAX: Final = 2_000
_BODIES: Final = [(operation.body, strict) for operation in OPERATIONS for strict in (False, True)]
_CURSORS: Final = Cursors(SecretKeys(("a-secret-key-of-the-fuzz-tests-alone",)))
_ORIGIN: Final = origin_of("list_wallets", Owner("mch_fuzz", "sandbox"), {}, ListQuery(limit=20))
_ANCHOR: Final = Anchor(item_id="wal_a1")
WRITTEN: Final = _CURSORS.write(_ORIGIN, _ANCHOR)
"""The one cursor that is good."""


def command(data: bytes) -> None:
    """A record becomes a command, a stray or a dead letter, and what is kept of it can be kept."""
    for shard in range(_PARTITIONS):
        record = FakeRecord(7, data, key=data[:40])
        intake = take_in([record], shard, _PARTITIONS)
        found = [*intake.commands, *intake.strays, *intake.dead_letters]
        assert len(found) == 1
        for letter in intake.dead_letters:
            assert letter.payload == data
            assert letter.reason
            _can_be_kept(letter.detail)
        for received in intake.commands:
            again = decode_command(encode_command(received.command))
            assert body_digest(again) == received.body
            assert "\0" not in json.dumps(received.command.reference, ensure_ascii=False)


def http_body(data: bytes) -> None:
    """The first byte picks whose body it is; it is read, or refused in a sentence."""
    if not data:
        return
    kind, strict = _BODIES[data[0] % len(_BODIES)]
    try:
        body = decode_body(data[1:], kind, strict=strict)
    except InvalidBodyError as error:
        _can_be_kept(str(error))
    else:
        assert isinstance(body, kind)


def cursor(data: bytes) -> None:
    """Nothing is a cursor but what was written as one."""
    text = data.decode("latin-1")
    try:
        anchor = _CURSORS.read(_ORIGIN, text)
    except ValueError:
        assert text != WRITTEN
    else:
        assert (text, anchor) == (WRITTEN, _ANCHOR)


def authorization(data: bytes) -> None:
    """Credentials are two texts that are not empty, or there are none."""
    try:
        client_id, secret = _credentials(data)
    except TokenMalformedError:
        return
    assert client_id
    assert secret
    assert ":" not in client_id


def _can_be_kept(text: str) -> None:
    assert len(text.encode()) <= _TEXT_CHARACTERS_MAX * 4
    assert len(text) <= _TEXT_CHARACTERS_MAX
    assert "\0" not in text


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "command": command,
    "http_body": http_body,
    "cursor": cursor,
    "authorization": authorization,
}
