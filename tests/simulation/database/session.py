"""The server's end of a connection.

It runs statements by itself: once a request has arrived, the client may be paused, or gone.
"""

import asyncio
import math
import re
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import asyncpg

from tests.simulation.database.errors import (
    CommitWithoutReplyError,
    SimulationDefectError,
    failed_transaction,
    lock_timeout,
    lost,
    query_canceled,
    terminated,
    transaction_timeout,
)
from tests.simulation.database.rows import Record
from tests.simulation.database.transactions import LockWaitError, Transaction

if TYPE_CHECKING:
    from tests.simulation.database.server import SimulatedDatabase

Rows = Sequence[Record]


class Statement(Protocol):
    """A query that the simulation knows."""

    @property
    def name(self) -> str: ...

    @property
    def reads(self) -> bool:
        """Whether it changes and locks nothing."""
        ...

    @property
    def run(self) -> Callable[[Transaction, Sequence[Any]], Rows]: ...


class Session:
    """Runs one statement after the other; `ended` once the server has let go of it."""

    def __init__(self, database: "SimulatedDatabase", settings: dict[str, str]) -> None:
        self.database = database
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        self.number = database.next_pid()
        self.ended = False
        self._transaction: Transaction | None = None
        self._running: _Running | None = None
        self._client_gone = False
        self._on_free: asyncio.Future[Rows] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

    @property
    def begun_at(self) -> datetime | None:
        """When the transaction began that is under way, if one is."""
        running = self._running
        transaction = self._transaction or (running and running.transaction)
        return transaction.begun_at if transaction else None

    def begin(self) -> None:
        if self._transaction is not None:
            raise SimulationDefectError("BEGIN inside of a transaction is not simulated")
        self._transaction = self._new_transaction()
        self._timer = self.time_out("transaction_timeout", self._time_out)

    def roll_back(self) -> None:
        transaction, self._transaction = self._transaction, None
        self._stop_timer()
        if transaction is not None:
            transaction.roll_back()

    def commit(self) -> "Rows | asyncio.Future[Rows]":
        """The future is there if the server takes its time."""
        transaction, self._transaction = self._transaction, None
        self._stop_timer()
        if transaction is None:
            return ()
        if transaction.failed:
            transaction.roll_back()
            return ()
        return self._start(_Running(self, transaction, "commit"))

    def refused(self) -> None:
        """A statement failed before it began: a transaction can only be rolled back now."""
        if self._transaction is not None:
            self._transaction.failed = True

    def submit(
        self, statement: Statement, arguments: Sequence[Any]
    ) -> "Rows | asyncio.Future[Rows]":
        """Run a statement; it gives a future if it has to wait for a row or for the disk."""
        if seconds := self.database.trouble.repeat(statement.name):
            self.call_later(seconds, lambda: self._repeat(statement, arguments))
        return self._submit(statement, arguments)

    def _repeat(self, statement: Statement, arguments: Sequence[Any]) -> None:
        if self.database.is_down:
            return
        session = Session(self.database, dict(self.settings))
        self.database.sessions.add(session)
        with suppress(asyncpg.PostgresError):
            session._submit(statement, arguments)
        session.lose_client()

    def _submit(
        self, statement: Statement, arguments: Sequence[Any]
    ) -> "Rows | asyncio.Future[Rows]":
        transaction = self._transaction
        if transaction is None:
            if statement.reads:
                return self._read(statement, arguments)
            running = _Running(self, self._new_transaction(), statement.name, statement, arguments)
        else:
            if transaction.failed:
                raise failed_transaction()
            running = _Running(
                self, transaction, statement.name, statement, arguments, commits=False
            )
        return self._start(running)

    def _read(self, statement: Statement, arguments: Sequence[Any]) -> Rows:
        """What changes and locks nothing has no need of a transaction."""
        try:
            return statement.run(self.database.reader, arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception as error:
            raise SimulationDefectError(f"{statement.name}: {error!r}") from error

    def _new_transaction(self) -> Transaction:
        waits = self.settings.get("synchronous_commit") != "off"
        return Transaction(self.database, waits_for_disk=waits)

    def _start(self, running: "_Running") -> "Rows | asyncio.Future[Rows]":
        running.go_on()
        if running.done:
            if running.error is not None:
                raise running.error
            return running.rows
        self._running = running
        return running.wait_for_it()

    @property
    def is_busy(self) -> bool:
        return self._running is not None

    def when_free(self) -> "asyncio.Future[Rows]":
        """Done once the session, which is busy, has time for another statement."""
        self._on_free = self.loop.create_future()
        return self._on_free

    @property
    def ready_at(self) -> float:
        """When the statement under way will be done, as far as that is known."""
        return math.inf if self._running is None else self._running.ready_at

    def finished(self) -> None:
        """The statement under way has come to its end."""
        self._running = None
        if self._on_free is not None and not self._on_free.done():
            self._on_free.set_result(())
        if self._client_gone:
            self.end()

    def cancel(self) -> None:
        """The client asks for the end of its statement; a commit under way is finished."""
        if self._running is not None:
            self._running.cancel()

    def lose_client(self) -> None:
        """Nobody is at the other end: what runs is finished, what waits for more is rolled back."""
        self._client_gone = True
        if self._running is None:
            self.end()

    def end(self) -> None:
        """The server lets go; what is not committed is rolled back."""
        if self.ended:
            return
        self.ended = True
        running, self._running = self._running, None
        if running is not None:
            running.fail(lost())
        self.roll_back()
        self.database.sessions.discard(self)
        self.database.lose_client(self)

    def time_out(self, setting: str, expired: Any) -> asyncio.TimerHandle | None:
        """Have `expired` called when the time of the setting has passed."""
        seconds = _seconds(self.settings.get(setting, "0"))
        return self.call_later(seconds, expired) if seconds else None

    def call_later(self, seconds: float, call: Any) -> asyncio.TimerHandle:
        """By the server itself, whatever becomes of the client."""
        return self.loop.call_later(seconds, call, context=self.database.context)

    def _time_out(self) -> None:
        if self._running is not None:
            self._running.fail(terminated(transaction_timeout()))
        self.end()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Running:
    """A statement from its arrival to its answer."""

    __slots__ = (
        "_arguments",
        "_commits",
        "_committing",
        "_patience",
        "_reply",
        "_row",
        "_session",
        "_statement",
        "_timer",
        "_what",
        "done",
        "error",
        "ready_at",
        "rows",
        "transaction",
    )

    def __init__(
        self,
        session: Session,
        transaction: Transaction,
        what: str,
        statement: Statement | None = None,
        arguments: Sequence[Any] = (),
        *,
        commits: bool = True,
    ) -> None:
        self._session = session
        self.transaction = transaction
        self._what = what
        self._statement = statement
        self._arguments = arguments
        self._commits = commits
        self._committing = False
        self.ready_at = math.inf
        self._row: Hashable = None
        self._reply: asyncio.Future[Rows] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.done = False
        self.rows: Rows = ()
        self.error: Exception | None = None

    def wait_for_it(self) -> "asyncio.Future[Rows]":
        self._reply = self._session.loop.create_future()
        if self._commits and not self._committing:
            self._timer = self._session.time_out("transaction_timeout", self._time_out)
        return self._reply

    def go_on(self) -> None:
        """Run the statement, again if it had to wait, and commit."""
        self._row = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._statement is not None:
            try:
                self.rows = self._statement.run(self.transaction, self._arguments)
            except LockWaitError as wait:
                self._row = wait.row
                self._session.database.locks.wait(wait.row, self.go_on)
                self._patience = self._session.time_out("lock_timeout", self._give_up)
                return
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.fail(error)
                return
            except Exception as error:
                raise SimulationDefectError(f"{self._what}: {error!r}") from error
        if self._commits:
            self._commit()
        else:
            self._finish()

    def _commit(self) -> None:
        self._stop_timer()
        seconds = 0.0
        if self.transaction.has_changes:
            try:
                seconds = self._session.database.trouble.commit(self._what)
            except CommitWithoutReplyError as gone:
                seconds = gone.after_s
                self._session.call_later(0, self._lose_client)
            except asyncpg.PostgresError as error:
                self.fail(error)
                return
        if seconds:
            self._committing = True
            self.ready_at = self._session.loop.time() + seconds
            self._timer = self._session.call_later(seconds, self._committed)
        else:
            self._committed()

    def _lose_client(self) -> None:
        self._session.database.lose_client(self._session)

    def _committed(self) -> None:
        if not self.done:
            self.transaction.commit()
            self._finish()

    def _finish(self) -> None:
        self.done = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(self.rows)
        self._session.finished()

    def fail(self, error: Exception) -> None:
        """Give up; a transaction of the client's own can only be rolled back now."""
        if self.done:
            return
        self.done = True
        self.error = error
        self._stop_timer()
        if self._row is not None:
            self._session.database.locks.give_up(self._row, self.go_on)
        if self._patience is not None:
            self._patience.cancel()
        if self._commits:
            self.transaction.roll_back()
        else:
            self.transaction.failed = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)
            # whoever waited may be gone
            self._reply.exception()
        self._session.finished()

    def cancel(self) -> None:
        if not self._committing:
            self.fail(query_canceled())

    def _give_up(self) -> None:
        self.fail(lock_timeout())

    def _time_out(self) -> None:
        session = self._session
        self.fail(terminated(transaction_timeout()))
        session.end()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@cache
def _seconds(setting: str) -> float:
    """Of a time setting: milliseconds unless it has a unit."""
    found = re.fullmatch(r"(\d+)(ms|s|min)?", setting)
    if found is None:
        raise SimulationDefectError(f"a time setting that is not simulated: {setting!r}")
    return int(found[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0, None: 0.001}[found[2]]
