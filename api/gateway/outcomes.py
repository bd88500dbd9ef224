"""Waiting for outcomes: hints are heard, and one connection for the process looks.

    watch = OutcomeWatch(settings, listener)
    group.create_task(watch.run())
    outcome = await watch.of(receipt)

A notification of the engine says how far a shard has been decided. It is a hint: what counts is
what the database says then, for everybody who waits for that shard in one query. Nobody waits for
an interval unless a hint is lost.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import msgspec

from engine.database import DATABASE_FAILURES
from engine.errors import EngineError
from engine.hints import Hint
from engine.notifier import CHANNEL
from engine.receipts import Outcome, Receipt, outcome_of, resolve_many
from engine.settings import Settings
from projections.listening import Listener

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.5
_BACK_OFF_S_MIN: Final = 0.1
_BACK_OFF_S_MAX: Final = 2.0
_RECEIPTS_MAX: Final = 1000
"""Resolved in one query; the next look takes the others."""

_SESSION: Final = {
    "application_name": "wallet-api outcomes",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "on",
    # the planner can't know that these joins meet a handful of rows in the largest of tables
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


@dataclass(eq=False, slots=True)
class _Waiter:
    """`tried` is the hint that was followed for it in vain."""

    receipt: Receipt
    outcome: asyncio.Future[Outcome]
    tried: int | None = None


class OutcomeWatch:
    """Tells those who wait what became of their records, as soon as it is decided."""

    def __init__(self, settings: Settings, listener: Listener, *, poll_s: float = _POLL_S) -> None:
        self._settings = settings
        self._poll_s = poll_s
        self._waiters: defaultdict[int, set[_Waiter]] = defaultdict(set)
        self._hinted: dict[int, int] = {}
        self._told: dict[int, dict[int, bytes]] = {}
        self._wake = asyncio.Event()
        self._looks_at_all = True
        listener.subscribe({CHANNEL: self._hear}, begun=self._look_at_all)

    async def of(self, receipt: Receipt) -> Outcome:
        """What became of a record, for as long as that takes.

        Raises OutcomeMissingError if it is decided and nothing says how.
        """
        waiter = _Waiter(receipt, asyncio.get_running_loop().create_future())
        waiters = self._waiters[receipt.partition]
        waiters.add(waiter)
        try:
            entry = self._told.get(receipt.partition, {}).get(receipt.offset)
            if entry is not None:
                self._tell(waiter, entry)
            elif self._is_hinted(waiter):
                self._wake.set()
            return await waiter.outcome
        finally:
            waiters.discard(waiter)

    async def run(self) -> None:
        """Look until cancelled; while the database is away, those who wait wait on."""
        back_off_s = _BACK_OFF_S_MIN
        while True:
            try:
                async with self._connected() as connection:
                    back_off_s = _BACK_OFF_S_MIN
                    self._look_at_all()
                    await self._look(connection)
            except DATABASE_FAILURES as error:
                _log.warning(
                    "Outcomes can't be looked up (%s: %s); trying again",
                    type(error).__name__,
                    error,
                )
            await asyncio.sleep(back_off_s)
            back_off_s = min(2 * back_off_s, _BACK_OFF_S_MAX)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        timeout_s = self._settings.database_timeout_ms / 1000
        connection = await asyncpg.connect(
            self._settings.database_url,
            timeout=timeout_s,
            command_timeout=timeout_s,
            server_settings=_SESSION,
        )
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            yield connection
        finally:
            connection.terminate()

    def _look_at_all(self) -> None:
        """Nobody told us of what came before."""
        self._looks_at_all = True
        self._wake.set()

    def _hear(self, text: str) -> None:
        try:
            hint = Hint.from_text(text)
        except ValueError:
            _log.warning("%s: %.100r is no hint of ours", CHANNEL, text)
            return
        self._hinted[hint.shard] = hint.next_offset
        self._told[hint.shard] = hint.outcomes
        for waiter in self._waiters[hint.shard]:
            entry = hint.outcomes.get(waiter.receipt.offset)
            if entry is not None:
                self._tell(waiter, entry)
            elif self._is_hinted(waiter):
                self._wake.set()

    def _tell(self, waiter: _Waiter, entry: bytes) -> None:
        try:
            self._end(waiter, outcome_of(waiter.receipt, entry))
        except msgspec.MsgspecError as error:
            # a newer release wrote it
            self._end(waiter, error)

    async def _look(self, connection: asyncpg.Connection) -> None:
        while not connection.is_closed():
            due = self._due()
            if due:
                await self._resolve(connection, due)
            else:
                await self._next_look()

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._wake.wait()
        except TimeoutError:
            # a hint may be lost
            self._looks_at_all = True
        self._wake.clear()

    def _due(self) -> list[_Waiter]:
        waiting = [
            waiter
            for waiters in self._waiters.values()
            for waiter in waiters
            if not waiter.outcome.done()
        ]
        if self._looks_at_all:
            self._looks_at_all = False
            return waiting
        return [waiter for waiter in waiting if self._is_hinted(waiter)]

    def _is_hinted(self, waiter: _Waiter) -> bool:
        hint = self._hinted.get(waiter.receipt.partition, 0)
        return waiter.receipt.offset < hint != waiter.tried

    async def _resolve(self, connection: asyncpg.Connection, waiters: Sequence[_Waiter]) -> None:
        for start in range(0, len(waiters), _RECEIPTS_MAX):
            await self._resolve_page(connection, waiters[start : start + _RECEIPTS_MAX])

    async def _resolve_page(
        self, connection: asyncpg.Connection, waiters: Sequence[_Waiter]
    ) -> None:
        for waiter in waiters:
            # before the query: a hint that comes meanwhile may know more than it
            waiter.tried = self._hinted.get(waiter.receipt.partition)
        try:
            outcomes = await resolve_many(connection, [waiter.receipt for waiter in waiters])
        except (EngineError, msgspec.MsgspecError) as error:
            # the second for an entry that a newer release wrote
            if len(waiters) > 1:
                # one of them has none: the others must not pay for it
                for waiter in waiters:
                    await self._resolve_page(connection, [waiter])
            else:
                self._end(waiters[0], error)
            return
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            self._end(waiter, outcome)

    def _end(self, waiter: _Waiter, outcome: Outcome | Exception | None) -> None:
        if outcome is None or waiter.outcome.done():
            return
        if isinstance(outcome, Exception):
            waiter.outcome.set_exception(outcome)
        else:
            waiter.outcome.set_result(outcome)
