"""Ed25519 keys of signed notes, in the text forms that tools for them read (C2SP signed-note).

    public   NAME+ID+BASE64            what an auditor holds, a line
    secret   PRIVATE+KEY+NAME+ID+BASE64   a line in a file that only its owner can read

BASE64 is of the byte 0x01, for Ed25519, and the 32 bytes of the public key or of the secret seed.
ID is 8 hex digits: the first four bytes of SHA-256(NAME, 0x0A, 0x01, public key).
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from audit.base64_text import from_base64, to_base64
from audit.errors import KeyExistsError, KeyUnreadableError

KEY_ID_BYTES: Final = 4

_ED25519: Final = b"\x01"
_KEY_BYTES: Final = 32
_SIGNER_PREFIX: Final = "PRIVATE+KEY+"
_LINE_CHARACTERS_MAX: Final = 1_000
_ONLY_ITS_OWNER: Final = 0o600


class VerifierKey(Struct, frozen=True):
    """A public key under a name. The same 32 bytes under another name are another key."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `NAME+ID+BASE64`; raises KeyUnreadableError for anything else."""
        name, _, rest = text.strip().partition("+")
        written_id, _, encoded = rest.partition("+")
        key = cls(name, _key_bytes(encoded, "verifier key"))
        if not is_key_name(name) or written_id != key.id.hex():
            raise KeyUnreadableError(
                "This is not a verifier key, or it was cut or changed: pass the whole line "
                "NAME+ID+BASE64 that `wallet checkpoint --verifier-key` prints."
            )
        return key

    @property
    def id(self) -> bytes:
        """The four bytes that stand before each signature."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:KEY_ID_BYTES]

    def under(self, name: str) -> "VerifierKey":
        """The same public key under another name."""
        return VerifierKey(name, self.public)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature`, 64 bytes, is this key's over the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{to_base64(_ED25519 + self.public)}"


class SigningKey:
    """A secret key under a name; nothing of it is shown."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not is_key_name(name):
            raise KeyUnreadableError(
                f"{name!r} can't name a key: it has to be without spaces and plus signs, best the "
                "address of the service without a scheme, such as wallets.example.com."
            )
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> Self:
        """A key that nobody had before."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `PRIVATE+KEY+NAME+ID+BASE64`; raises KeyUnreadableError for anything else."""
        text = text.strip()
        name, _, rest = text.removeprefix(_SIGNER_PREFIX).partition("+")
        written_id, _, encoded = rest.partition("+")
        if not text.startswith(_SIGNER_PREFIX) or not is_key_name(name):
            raise KeyUnreadableError(
                "This is no signing key: it has to begin with PRIVATE+KEY+ and a name. "
                "`wallet checkpoint --new-key FILE` makes one."
            )
        key = cls(name, _key_bytes(encoded, "signing key"))
        if written_id != key.verifier.id.hex():
            raise KeyUnreadableError(
                "The signing key was cut or changed: its id is not that of the key. Take it from "
                "your backup, or make a new one and give auditors its verifier key."
            )
        return key

    @property
    def name(self) -> str:
        """What its signatures name it by."""
        return self.verifier.name

    def under(self, name: str) -> "SigningKey":
        """The same secret under another name."""
        return SigningKey(name, self._seed)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same for the same message."""
        return self._key.sign(message)

    def secret_line(self) -> str:
        """What its file holds."""
        encoded = to_base64(_ED25519 + self._seed)
        return f"{_SIGNER_PREFIX}{self.name}+{self.verifier.id.hex()}+{encoded}\n"


def write_key(key: SigningKey, path: Path) -> None:
    """Put a new key into a file that only its owner can read; never over another one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _ONLY_ITS_OWNER)
    except FileExistsError:
        raise KeyExistsError(
            f"{path} exists, and a key that is written over is lost: name another file. "
            f"`wallet checkpoint --key {path} --verifier-key` prints the public half of a key."
        ) from None
    except OSError as error:
        raise KeyUnreadableError(
            f"The key can't be written to {path}: {error.strerror}."
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(key.secret_line())
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> SigningKey:
    """The key in the file; raises KeyUnreadableError, also if others can read it."""
    text, mode = _read(path, "signing key", "name the file that `--new-key` wrote")
    if mode & 0o077:
        raise KeyUnreadableError(
            f"Others can read the signing key {path}: see who may have it, then chmod 600 it."
        )
    return SigningKey.parse(text)


def read_verifier_key(given: str) -> VerifierKey:
    """The key that is given as its line, or that in the file of this name.

    Raises KeyUnreadableError.
    """
    if given.count("+") < 2:
        given, _ = _read(Path(given), "verifier key", "pass the key, NAME+ID+BASE64, or its file")
    return VerifierKey.parse(given)


def _read(path: Path, what: str, do: str) -> tuple[str, int]:
    """The text of the file, and its mode."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_LINE_CHARACTERS_MAX), os.fstat(file.fileno()).st_mode
    except OSError as error:
        why = str(error.strerror)
    except UnicodeDecodeError:
        why = "it is no text"
    raise KeyUnreadableError(f"The {what} {path} can't be read ({why}): {do}.")


def is_key_name(text: str) -> bool:
    """Whether notes can name a key so."""
    return bool(text) and text.isprintable() and not any(c.isspace() or c == "+" for c in text)


def _key_bytes(encoded: str, what: str) -> bytes:
    decoded = from_base64(encoded)
    if decoded[:1] != _ED25519 or len(decoded) != 1 + _KEY_BYTES:
        raise KeyUnreadableError(
            f"This {what} is no Ed25519 key of signed notes: after the last plus sign there have "
            f"to be {1 + _KEY_BYTES} bytes in base64, the first of them 1. Pass the whole line."
        )
    return decoded[1:]
