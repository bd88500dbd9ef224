"""Digests that name commands and entries.

Each is 16 bytes of BLAKE2b over unambiguous bytes, under a tag of its own. They are stored for
ever: a change here would turn old commands into conflicts.
"""

from hashlib import blake2b

import msgspec

from schemas.commands import AnyCommand
from schemas.instants import Instant

DIGEST_BYTES = 16


def _tag(name: bytes) -> bytes:
    return name.ljust(16, b"\0")


_COMMAND = _tag(b"wallet.command")
_BODY = _tag(b"wallet.body")
_CONFLICT = _tag(b"wallet.conflict")
_FURTHER = _tag(b"wallet.further")
_EXPIRY = _tag(b"wallet.expiry")


def _encode_hook(value: object) -> int:
    if isinstance(value, Instant):
        return value.microseconds()
    raise NotImplementedError(f"{type(value).__name__} has no place in a command")


_canonical = msgspec.json.Encoder(enc_hook=_encode_hook, order="sorted")


def _name(wallet_id: str, reference: str) -> bytes:
    wallet = wallet_id.encode()
    return b"%d:%b%b" % (len(wallet), wallet, reference.encode())


def command_id(wallet_id: str, reference: str) -> bytes:
    """Names the outcome of the command with this reference in this wallet."""
    return blake2b(_name(wallet_id, reference), digest_size=DIGEST_BYTES, person=_COMMAND).digest()


def body_digest(command: AnyCommand) -> bytes:
    """What a repeat is compared with: every field, keys sorted, defaults left out, times in us."""
    return blake2b(_canonical.encode(command), digest_size=DIGEST_BYTES, person=_BODY).digest()


def conflict_id(command: bytes, body: bytes) -> bytes:
    """Names the refusal of a body that came under a taken reference or a foreign merchant."""
    return blake2b(command + body, digest_size=DIGEST_BYTES, person=_CONFLICT).digest()


def further_id(command: bytes, ordinal: int) -> bytes:
    """Names an entry that a command made besides its outcome."""
    return blake2b(
        b"%b%d" % (command, ordinal), digest_size=DIGEST_BYTES, person=_FURTHER
    ).digest()


def expiry_id(wallet_id: str, lot: int, ordinal: int = 0) -> bytes:
    """Names the expiry of a lot."""
    return blake2b(
        _name(wallet_id, f"{lot}:{ordinal}"), digest_size=DIGEST_BYTES, person=_EXPIRY
    ).digest()
