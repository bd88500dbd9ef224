"""The simulated database: committed tables, locks, sessions, and the faults of a server.

    database = SimulatedDatabase(clock, trouble)
    connection = await database.connect()   # in place of asyncpg.connect

Make it outside of any worker's context: what the server does by itself runs in the context that
it was made in, whatever becomes of the client.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from datetime import datetime
from itertools import count
from typing import Any, Final

from tests.simulation.database.connection import SimulatedConnection
from tests.simulation.database.models import Models
from tests.simulation.database.projector_queries import Checkpoint
from tests.simulation.database.queries import KNOWN, Known, understand
from tests.simulation.database.rows import (
    ShardState,
    StoredDeadLetter,
    StoredForward,
    StoredRow,
    StoredSnapshot,
)
from tests.simulation.database.session import Session
from tests.simulation.database.tables import ShardTables
from tests.simulation.database.transactions import RowLocks, Transaction
from tests.simulation.database.trouble import DatabaseTrouble, NoTrouble

FLUSHED_WITHIN_S: Final = 0.6
"""Three times `wal_writer_delay`: older commits are on the disk, waited for or not."""


class SimulatedDatabase:
    """What is committed stands in plain tables; `connections` are the open ones."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        trouble: DatabaseTrouble | None = None,
        *,
        shards: int = 4,
    ) -> None:
        self.clock = clock
        self.trouble: DatabaseTrouble = trouble or NoTrouble()
        self.context = copy_context()
        self.shards = {shard: ShardState(shard=shard) for shard in range(shards)}
        self.tables = {shard: ShardTables() for shard in range(shards)}
        self.locks = RowLocks()
        self.known = dict(KNOWN)
        self.sessions: set[Session] = set()
        self.connections: dict[Session, SimulatedConnection] = {}
        self.listening: dict[str, dict[SimulatedConnection, None]] = {}
        self.reader = Transaction(self)
        self.commit_listeners: list[Callable[[int], None]] = []
        self.is_down = False
        self.checkpoints: dict[tuple[str, int, int], Checkpoint] = {}
        self.models = Models()
        self.model_listeners: list[Callable[[str, int], None]] = []
        self._unflushed: deque[tuple[float, Callable[[], None]]] = deque()
        self._pids = count(1)

    # what is committed, by shard

    @property
    def log(self) -> dict[int, list[StoredRow]]:
        """In order of position."""
        return {shard: tables.log for shard, tables in self.tables.items()}

    @property
    def dead_letters(self) -> dict[int, dict[int, StoredDeadLetter]]:
        """By offset."""
        return {shard: tables.dead_letters for shard, tables in self.tables.items()}

    @property
    def forwards(self) -> dict[int, dict[int, StoredForward]]:
        """By offset."""
        return {shard: tables.forwards for shard, tables in self.tables.items()}

    @property
    def due(self) -> dict[int, list[tuple[datetime, str]]]:
        """(moment, wallet), sorted."""
        return {shard: tables.due for shard, tables in self.tables.items()}

    @property
    def snapshots(self) -> dict[int, dict[str, StoredSnapshot]]:
        """By wallet."""
        return {shard: tables.snapshots for shard, tables in self.tables.items()}

    @property
    def tiles(self) -> dict[int, dict[int, dict[int, bytes]]]:
        """Hashes by level and index."""
        return {shard: tables.tiles for shard, tables in self.tables.items()}

    # connections

    async def connect(self, *_: Any, **options: Any) -> SimulatedConnection:
        """As asyncpg.connect; what names the server is not looked at."""
        if seconds := self.trouble.request("connect"):
            timeout = options.get("timeout", 60.0)
            if seconds > timeout:
                await asyncio.sleep(timeout)
                raise TimeoutError
            await asyncio.sleep(seconds)
        if self.is_down:
            raise ConnectionRefusedError("the database is down")
        return SimulatedConnection(
            self, dict(options.get("server_settings") or {}), options.get("command_timeout")
        )

    def next_pid(self) -> int:
        return next(self._pids)

    def opened(self, connection: SimulatedConnection, session: Session) -> None:
        self.sessions.add(session)
        self.connections[session] = connection

    def closed(self, session: Session) -> None:
        """The client's end is gone."""
        connection = self.connections.pop(session, None)
        if connection is not None:
            for listening in self.listening.values():
                listening.pop(connection, None)

    def lose_client(self, session: Session) -> None:
        """The network between the two breaks."""
        connection = self.connections.get(session)
        if connection is not None:
            connection.sever()

    def notify(self, channel: str, payload: str) -> None:
        """Tell everybody who listens."""
        for connection in self.listening.get(channel, ()):
            connection.hear(channel, payload)

    # faults

    def crash(self) -> None:
        """Killed, and back at once: connections die, and what was not committed is gone.

        So are the last commits that did not wait for the disk, as far as no later one has.
        """
        self.locks.forget_waiting()
        for session in sorted(self.sessions, key=lambda session: session.number):
            session.end()
        for connection in list(self.connections.values()):
            connection.sever()
        now = asyncio.get_running_loop().time()
        for written_at, undo in reversed(self._unflushed):
            if written_at > now - FLUSHED_WITHIN_S:
                undo()
        self._unflushed.clear()

    # inside

    def written(self, undo: Sequence[Callable[[], None] | None], *, flushed: bool) -> None:
        """A commit stands in the write-ahead log; whoever waits for the disk flushes what is before."""
        if flushed:
            self._unflushed.clear()
            return
        now = asyncio.get_running_loop().time()
        while self._unflushed and self._unflushed[0][0] <= now - FLUSHED_WITHIN_S:
            self._unflushed.popleft()
        self._unflushed.extend((now, undone) for undone in undo if undone is not None)

    def understand(self, query: str) -> Known:
        """A query that is not one of the files' as it stands; raises UnknownQueryError."""
        self.known[query] = understood = understand(query)
        return understood

    def tell_of(self, transaction: Transaction) -> None:
        """What has just been committed."""
        for shard in sorted(transaction.moved):
            for listener in self.commit_listeners:
                listener(shard)
        for name, shard in sorted(transaction.models):
            for heard in self.model_listeners:
                heard(name, shard)
