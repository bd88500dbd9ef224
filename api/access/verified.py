"""Verified credentials: which were found good a moment ago, so that not every request asks again.

An entry lasts a second at most, and goes at once when its key is rolled or revoked: the database
tells. As long as it can't be heard, nothing is remembered.
"""

import secrets
import time
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from api.access.keys import CHANNEL
from api.calls import Principal
from projections.listening import Listener

ENTRIES_MAX: Final = 10_000
"""The oldest entry goes when there is one more."""

AGE_S_MAX: Final = 1.0


class _Entry(NamedTuple):
    principal: Principal
    until_s: float


class VerifiedCredentials:
    """Principals by a hash of their credentials that only this process can make."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hash_key = secrets.token_bytes(32)
        self._entries: dict[bytes, _Entry] = {}
        self._hearing = False
        self._changes = 0

    @property
    def changes(self) -> int:
        """Another number after every change that was heard of."""
        return self._changes

    def digest(self, client_id: str, secret: bytes) -> bytes:
        """What stands for these credentials."""
        return blake2b(b"%s:%s" % (client_id.encode(), secret), key=self._hash_key).digest()

    def find(self, digest: bytes) -> Principal | None:
        """Whose these credentials are, if that was found out a moment ago."""
        entry = self._entries.get(digest)
        return None if entry is None or entry.until_s <= self._clock() else entry.principal

    def remember(
        self, digest: bytes, principal: Principal, *, good_for_s: float, changes: int
    ) -> None:
        """What was found out, if nothing has changed since `changes` was read."""
        if not self._hearing or changes != self._changes:
            return
        self._entries.pop(digest, None)
        if len(self._entries) == ENTRIES_MAX:
            del self._entries[next(iter(self._entries))]
        until_s = self._clock() + min(good_for_s, AGE_S_MAX)
        self._entries[digest] = _Entry(principal, until_s)

    def forget(self, client_id: str) -> None:
        """The key has changed."""
        self._changes += 1
        self._entries = {
            digest: entry
            for digest, entry in self._entries.items()
            if entry.principal.client_id != client_id
        }

    def subscribe_to(self, listener: Listener) -> None:
        """Hear of changes."""
        listener.subscribe(
            {CHANNEL: self.forget},
            begun=partial(self._hear, hearing=True),
            ended=partial(self._hear, hearing=False),
        )

    def _hear(self, *, hearing: bool) -> None:
        self._hearing = hearing
        self._changes += 1
        self._entries.clear()
