"""Digests that name commands and entries.

Each is 16 bytes of BLAKE2b over unambiguous bytes, under a tag of its own. They are stored for
ever: a change here would turn old commands into conflicts.
"""

from hashlib import blake2b

import msgspec

from schemas.commands import AnyCommand
from schemas.instants import Instant

DIGEST_BYTES = 16


def _begun(tag: bytes) -> blake2b:
    return blake2b(digest_size=DIGEST_BYTES, person=tag.ljust(16, b"\0"))


def _digest(begun: blake2b, data: bytes) -> bytes:
    # copying what is set up takes half the time of setting it up
    digest = begun.copy()
    digest.update(data)
    return digest.digest()


_COMMAND = _begun(b"wallet.command")
_BODY = _begun(b"wallet.body")
_CONFLICT = _begun(b"wallet.conflict")
_FURTHER = _begun(b"wallet.further")
_EXPIRY = _begun(b"wallet.expiry")


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
    return _digest(_COMMAND, _name(wallet_id, reference))


def body_digest(command: AnyCommand) -> bytes:
    """What a repeat is compared with: every field, keys sorted, defaults left out, times in us."""
    return _digest(_BODY, _canonical.encode(command))


def conflict_id(command: bytes, body: bytes) -> bytes:
    """Names the refusal of a body that came under a taken reference or a foreign merchant."""
    return _digest(_CONFLICT, command + body)


def further_id(command: bytes, ordinal: int) -> bytes:
    """Names an entry that a command made besides its outcome."""
    return _digest(_FURTHER, b"%b%d" % (command, ordinal))


def expiry_id(wallet_id: str, lot: int, ordinal: int = 0) -> bytes:
    """Names the expiry of a lot."""
    return _digest(_EXPIRY, _name(wallet_id, f"{lot}:{ordinal}"))
