"""Rate limits: how many requests a key may make in a second, over all processes of a machine.

The processes count in one file that all of them map into memory. Each key has a slot there, and
each slot a sliding window: how many requests were admitted in each of the last 33 parts of 1/32 s.
Any second lies within 33 parts, so no second ever sees more than the limit; and a key that keeps
asking gets 32/33 of it.

A slot is read and written under a lock on its place in the file. The kernel lets go of it when a
process dies. A process that was stopped keeps it, so the others try a bounded number of times and
then count without it: a request or two may be miscounted, and nobody waits. Each part carries its
own time, so what a stopped process writes late, or a reboot left behind, is old and counts for
nothing.

The limit holds on one machine. Each machine has a file and so a limit of its own: over n of them a
key may make n times as many requests. Likewise for processes that share no file (another user,
database or temporary directory, if WALLET_RATE_LIMITS_FILE is not set). One thread of a process
may count.
"""

import fcntl
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Self

from api.access.shared_files import open_shared, shared_file
from engine.settings import Settings

SLOTS: Final = 4096
PARTS_PER_SECOND: Final = 32

_WORD: Final = 8
_NS: Final = 1_000_000_000
_PARTS: Final = PARTS_PER_SECOND + 1
_SLOT_WORDS: Final = 1 + _PARTS
_PROBES: Final = 32
_TRIES: Final = 20
_COUNT_BITS: Final = 24
_COUNT_MAX: Final = (1 << _COUNT_BITS) - 1
# changes with the layout
_MARK: Final = b"limits\x00\x01"
_HEADER_WORDS: Final = 1
_WORDS: Final = _HEADER_WORDS + SLOTS * _SLOT_WORDS


class RateLimits:
    """The counts of all keys. `clock_ns` is one that all processes of the machine share.

    A key's slot is found by the digest of its client id, at its home or at one of the 31 after it.
    Where all of these are taken, the key takes over the slot where the least was counted in the
    last second, mostly one that idled; if that one was in use, its key starts anew. So a full
    table lets too much through, never too little.
    """

    def __init__(self, path: str, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._file = open_shared(path, _WORDS * _WORD, _MARK)
        self._map = mmap.mmap(self._file, _WORDS * _WORD)
        self._words = memoryview(self._map).cast("Q")
        self._clock_ns = clock_ns

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises InvalidSettingError if the file can't be had, or others could write to it."""
        return cls(settings.rate_limits_file or shared_file("rate-limits", settings.database_url))

    def close(self) -> None:
        self._words.release()
        self._map.close()
        os.close(self._file)

    def admits(self, client_id: str, per_second: int) -> bool:
        """Whether the key may make one more request now, which is then counted."""
        key = _key(client_id)
        slot = self._find(key)
        if slot is None:
            slot = self._claim(key)
        held = self._try_lock(slot)
        try:
            if self._words[slot] == key:
                return self._count(slot, per_second)
        finally:
            if held:
                self._unlock(slot)
        # somebody took the slot over just now
        slot = self._claim(key)
        with self._locked(slot):
            return self._count(slot, per_second)

    def _count(self, slot: int, per_second: int) -> bool:
        now = self._now()
        if self._counted(slot, now) >= per_second:
            return False
        place = slot + 1 + now % _PARTS
        part = self._words[place]
        count = part & _COUNT_MAX if part >> _COUNT_BITS == now else 0
        self._words[place] = now << _COUNT_BITS | min(count + 1, _COUNT_MAX)
        return True

    def _counted(self, slot: int, now: int) -> int:
        first = now - PARTS_PER_SECOND << _COUNT_BITS
        end = now + 1 << _COUNT_BITS
        parts = self._words[slot + 1 : slot + _SLOT_WORDS].tolist()
        return sum([part & _COUNT_MAX for part in parts if first <= part < end])

    def _now(self) -> int:
        """Which part of 1/32 s it is; one second before the first is not negative."""
        return self._clock_ns() * PARTS_PER_SECOND // _NS + PARTS_PER_SECOND

    def _find(self, key: int) -> int | None:
        for slot in _slots(key):
            if self._words[slot] == key:
                return slot
        return None

    def _claim(self, key: int) -> int:
        """A slot for the key, taken over if need be."""
        # one at a time, or a key could get two
        with self._locked(0):
            slot = self._find(key)
            if slot is None:
                now = self._now()
                slot = min(_slots(key), key=lambda each: self._worth(each, now))
                with self._locked(slot):
                    self._words[slot] = key
                    for place in range(slot + 1, slot + _SLOT_WORDS):
                        self._words[place] = 0
            return slot

    def _worth(self, slot: int, now: int) -> int:
        return -1 if self._words[slot] == 0 else self._counted(slot, now)

    @contextmanager
    def _locked(self, word: int) -> Iterator[None]:
        held = self._try_lock(word)
        try:
            yield
        finally:
            if held:
                self._unlock(word)

    def _unlock(self, word: int) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, _WORD, word * _WORD)

    def _try_lock(self, word: int) -> bool:
        for attempt in range(_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, _WORD, word * _WORD)
            except OSError:
                # who holds it may have been put off this very core; more than once would be waiting
                if attempt == 0:
                    os.sched_yield()
            else:
                return True
        return False


@lru_cache(maxsize=SLOTS)
def _key(client_id: str) -> int:
    digest = blake2b(client_id.encode(), digest_size=_WORD, person=b"wallet.rate").digest()
    # 0 is a slot that was never taken
    return int.from_bytes(digest, "big") or 1


def _slots(key: int) -> Iterator[int]:
    for probe in range(_PROBES):
        yield _HEADER_WORDS + (key + probe) % SLOTS * _SLOT_WORDS
