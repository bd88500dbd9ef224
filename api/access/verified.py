"""Verified credentials: which were found good a moment ago, so that not every request asks again.

An entry lasts a second at most, and goes at once when its key is rolled or revoked: the database
tells. As long as it can't be heard, nothing is remembered. Those who ask at the same time, as all
do when an entry of a busy key has just ended, share one look at the database.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from api.access.keys import CHANNEL
from api.calls import Principal
from projections.listening import Listener

ENTRIES_MAX: Final = 10_000
"""The oldest entry goes when there is one more."""

AGE_S_MAX: Final = 1.0


class _Entry(NamedTuple):
    principal: Principal
    until_s: float


class _Look(NamedTuple):
    """One that is being taken, and what was known of changes when it began."""

    task: asyncio.Task[Principal]
    begun_s: float
    changes: int


class VerifiedCredentials:
    """Principals by a hash of their credentials that only this process can make."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hash_key = secrets.token_bytes(32)
        self._entries: dict[bytes, _Entry] = {}
        self._looks: dict[bytes, _Look] = {}
        self._hearing = False
        self._changes = 0

    @property
    def changes(self) -> int:
        """Another number after every change that was heard of."""
        return self._changes

    def digest(self, authorization: bytes) -> bytes:
        """What stands for the credentials in this header."""
        return blake2b(authorization, key=self._hash_key).digest()

    def find(self, digest: bytes) -> Principal | None:
        """Whose these credentials are, if that was found out a moment ago."""
        entry = self._entries.get(digest)
        return None if entry is None or entry.until_s <= self._clock() else entry.principal

    async def find_out(
        self, digest: bytes, verify: Callable[[], Coroutine[Any, Any, Principal]]
    ) -> Principal:
        """What `verify` gives, or gives to somebody else who has asked a moment ago.

        It is not ended with whoever waits for it. Its failure is told to the first one alone; the
        others ask for themselves.
        """
        if not self._hearing:
            return await verify()
        look = self._looks.get(digest)
        if look is None or not self._is_fresh(look):
            return await asyncio.shield(self._look(digest, verify()))
        await asyncio.wait({look.task})
        if look.task.cancelled() or look.task.exception() is not None:
            return await verify()
        return look.task.result()

    def _look(
        self, digest: bytes, verifying: Coroutine[Any, Any, Principal]
    ) -> asyncio.Task[Principal]:
        look = _Look(asyncio.create_task(verifying), self._clock(), self._changes)
        self._looks[digest] = look

        def ended(_: object) -> None:
            if self._looks.get(digest) is look:
                del self._looks[digest]

        look.task.add_done_callback(ended)
        return look.task

    def _is_fresh(self, look: _Look) -> bool:
        """Whether it may stand for one that would begin now."""
        return look.changes == self._changes and self._clock() < look.begun_s + AGE_S_MAX

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
