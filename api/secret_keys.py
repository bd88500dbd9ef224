"""Secret keys of the server: what keyed hashes and signatures are made with.

They come from WALLET_SECRET_KEYS, separated by commas, the newest first: it is what new hashes and
signatures are made with, the others are for checking what was made before they were replaced.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import digest
from typing import Final, Self

from engine.settings import InvalidSettingError, Settings

CHARACTERS_MIN: Final = 32

_HOW_TO_MAKE = "python3 -c 'import secrets; print(secrets.token_hex(32))' makes one"


@dataclass(frozen=True)
class SecretKey:
    """One key for one purpose. `name` says which, and nothing about it."""

    name: str
    secret: bytes = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """HMAC-SHA256 of the message, 32 bytes."""
        return digest(self.secret, message, "sha256")


class SecretKeys:
    """The keys, newest first, and what is derived from each for one purpose or another."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises InvalidSettingError if there is none, or one that could be guessed."""
        keys = tuple(
            key.strip()
            for key in settings.secret_keys.get_secret_value().split(",")
            if key.strip()
        )
        if not keys:
            raise InvalidSettingError(
                "WALLET_SECRET_KEYS: a key is needed that every process of the API shares"
                f" ({_HOW_TO_MAKE})"
            )
        if not all(len(key) >= CHARACTERS_MIN and _is_plain(key) for key in keys):
            raise InvalidSettingError(
                f"WALLET_SECRET_KEYS: each key needs {CHARACTERS_MIN} characters or more, of"
                f" ASCII's and without spaces ({_HOW_TO_MAKE})"
            )
        return cls(keys)

    def for_purpose(self, purpose: str) -> tuple[SecretKey, ...]:
        """A key for this purpose from each of the server's, newest first."""
        return tuple(
            SecretKey(
                name=blake2b(key.encode(), digest_size=4, person=b"wallet.key.name").hexdigest(),
                secret=digest(key.encode(), purpose.encode(), "sha256"),
            )
            for key in self._keys
        )


def _is_plain(key: str) -> bool:
    return key.isascii() and key.isprintable() and " " not in key
