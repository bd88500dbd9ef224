"""The client's end of a connection: what the engine and the projector use of asyncpg's."""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
from asyncpg.transaction import Transaction

from tests.simulation.database.errors import SimulationDefectError, lost
from tests.simulation.database.queries import Known
from tests.simulation.database.session import Rows, Session

if TYPE_CHECKING:
    from tests.simulation.database.server import SimulatedDatabase


class _Control(NamedTuple):
    """What is asked of the session itself."""

    name: str
    run: "Callable[[], Rows | asyncio.Future[Rows]]"


Listener = Callable[[Any, int, str, object], None]

_SET = re.compile(r"SET (\w+) = '?(\w+)'?")
_CONTROL = {"BEGIN": "begin", "COMMIT": "commit", "ROLLBACK": "rollback"}


class SimulatedConnection:
    """As asyncpg.Connection, one operation at a time; command tags are not simulated."""

    # what asyncpg's Transaction asks of its connection
    _pool_release_ctr = 0

    def __init__(
        self,
        database: "SimulatedDatabase",
        settings: dict[str, str],
        timeout_s: float | None,
    ) -> None:
        self.settings = settings
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._session = Session(database, settings)
        self._timeout_s = timeout_s
        self._closed = False
        self._busy = False
        self._waiting: asyncio.Future[Any] | None = None
        self._listeners: dict[str, list[tuple[Listener, Context]]] = {}
        self._on_termination: list[tuple[Callable[[Any], None], Context]] = []
        self._top_xact: Transaction | None = None
        self._protocol = self
        database.opened(self, self._session)

    # queries

    async def fetch(self, query: str, *args: Any) -> Rows:
        return await self._perform(query, args)

    async def fetchrow(self, query: str, *args: Any) -> Any:
        rows = await self._perform(query, args)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *args: Any, column: int = 0) -> Any:
        rows = await self._perform(query, args)
        return rows[0][column] if rows else None

    async def execute(self, query: str, *args: Any) -> str:
        await self._perform(query, args)
        return ""

    async def executemany(self, query: str, args: Iterable[Sequence[Any]]) -> None:
        async with self.transaction():
            for arguments in args:
                await self._perform(query, arguments)

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> Transaction:
        self._check_open()
        if isolation not in (None, "read_committed"):
            raise SimulationDefectError(f"{isolation} is not simulated")
        as_asyncpg: Any = Transaction
        made: Transaction = as_asyncpg(self, isolation, readonly, deferrable)
        return made

    def is_in_transaction(self) -> bool:
        return self._session.in_transaction

    # notifications

    async def add_listener(self, channel: str, callback: Listener) -> None:
        await self._perform(f"LISTEN {channel}", ())
        self._listeners.setdefault(channel, []).append((callback, copy_context()))
        self._database.listening.setdefault(channel, {})[self] = None

    async def remove_listener(self, channel: str, callback: Listener) -> None:
        if self._closed:
            return
        heard = self._listeners.get(channel, [])
        heard[:] = [pair for pair in heard if pair[0] != callback]
        await self._perform(f"UNLISTEN {channel}", ())

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        self._on_termination.append((callback, copy_context()))

    def remove_termination_listener(self, callback: Callable[[Any], None]) -> None:
        self._on_termination = [pair for pair in self._on_termination if pair[0] != callback]

    def hear(self, channel: str, payload: str) -> None:
        """Pass a notification on, in the context of whoever listens."""
        for callback, context in self._listeners.get(channel, ()):
            self._loop.call_soon(callback, self, 0, channel, payload, context=context)

    # the end

    def is_closed(self) -> bool:
        return self._closed

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 as asyncpg
        self.sever()

    def terminate(self) -> None:
        self.sever()

    def sever(self) -> None:
        """The connection breaks: the client's call fails, what the server is doing goes on."""
        if self._closed:
            return
        self._closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(lost())
            # whoever waited may never come back for it
            self._waiting.exception()
        self._session.lose_client()
        self._database.closed(self._session)
        for callback, context in self._on_termination:
            self._loop.call_soon(callback, self, context=context)

    # one operation

    async def _perform(self, query: str, args: Sequence[Any]) -> Rows:
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        if self._busy:
            raise asyncpg.InterfaceError(
                "cannot perform operation: another operation is in progress"
            )
        self._busy = True
        try:
            return await self._exchange(query, args)
        except (asyncpg.PostgresConnectionError, OSError) as error:
            if not isinstance(error, TimeoutError):
                self.sever()
            raise
        finally:
            self._busy = False
            self._waiting = None

    async def _exchange(self, query: str, args: Sequence[Any]) -> Rows:
        database, session = self._database, self._session
        statement = database.known.get(query) or self._understand(query)
        what = statement.name
        timeout_s = self._timeout_s
        deadline = None if timeout_s is None else self._loop.time() + timeout_s
        try:
            seconds = database.trouble.request(what)
        except asyncpg.PostgresError:
            session.refused()
            raise
        if seconds:
            await self._travel(seconds, deadline)
        while session.is_busy:
            # what was given up is still being finished
            await self._answer(session.when_free(), deadline)
        self._check_session()
        answer = (
            session.submit(statement, args) if isinstance(statement, Known) else statement.run()
        )
        if isinstance(answer, asyncio.Future):
            answer = await self._answer(answer, deadline)
        self._check_session()
        if seconds := database.trouble.reply(what):
            await self._travel(seconds, deadline)
        return answer

    def _check_session(self) -> None:
        """The server may have let go while the client was not looking."""
        if self._session.ended:
            self.sever()
            raise lost()

    def _understand(self, query: str) -> "Known | _Control":
        what = _CONTROL.get(query.rstrip(";").split(" ")[0])
        if what == "begin":
            return _Control(what, self._begin)
        if what == "commit":
            return _Control(what, self._session.commit)
        if what == "rollback":
            return _Control(what, self._roll_back)
        if query.startswith(("LISTEN ", "UNLISTEN ")):
            return _Control("listen", tuple)
        if (setting := _SET.fullmatch(query)) is not None:
            return _Control("set", lambda: self._set(setting[1], setting[2]))
        return self._database.understand(query)

    def _begin(self) -> Rows:
        self._session.begin()
        return ()

    def _roll_back(self) -> Rows:
        self._session.roll_back()
        return ()

    def _set(self, name: str, value: str) -> Rows:
        self.settings[name] = value
        return ()

    async def _travel(self, seconds: float, deadline: float | None) -> None:
        loop = self._loop
        arrived = loop.create_future()
        arrival = loop.time() + seconds
        if deadline is not None and deadline < arrival:
            timer = loop.call_at(deadline, _time_out, arrived)
        else:
            timer = loop.call_at(arrival, _arrive, arrived)
        await self._wait(arrived, timer)

    async def _answer(self, answer: "asyncio.Future[Rows]", deadline: float | None) -> Rows:
        timer = None
        if deadline is not None and self._session.ready_at > deadline:
            timer = self._loop.call_at(deadline, _time_out, answer)
        rows: Rows = await self._wait(answer, timer)
        return rows

    async def _wait(
        self, waiting: "asyncio.Future[Any]", timer: asyncio.TimerHandle | None
    ) -> Any:
        self._waiting = waiting
        try:
            return await waiting
        except (TimeoutError, asyncio.CancelledError):
            self._session.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _check_open(self) -> None:
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")


def _arrive(arrived: "asyncio.Future[Any]") -> None:
    if not arrived.done():
        arrived.set_result(())


def _time_out(waiting: "asyncio.Future[Any]") -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
