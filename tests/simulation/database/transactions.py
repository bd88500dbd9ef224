"""Transactions: row locks, and changes that nobody sees before the commit."""

from collections import deque
from collections.abc import Callable, Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.simulation.database.rows import ShardState

if TYPE_CHECKING:
    from tests.simulation.database.server import SimulatedDatabase


Change = Callable[[], Callable[[], None] | None]


class LockWaitError(Exception):
    """Another transaction has locked the row: the statement is run again when it is free."""

    def __init__(self, row: Hashable) -> None:
        super().__init__(row)
        self.row = row


class RowLocks:
    """Who holds which row, and who waits for it, in order."""

    def __init__(self) -> None:
        self._holders: dict[Hashable, Transaction] = {}
        self._waiting: dict[Hashable, deque[Callable[[], None]]] = {}

    def take(self, row: Hashable, transaction: "Transaction") -> None:
        """Raises LockWaitError if another transaction holds the row."""
        holder = self._holders.setdefault(row, transaction)
        if holder is not transaction:
            raise LockWaitError(row)
        transaction.locked.add(row)

    @property
    def waiting(self) -> int:
        """How many wait for any row."""
        return sum(map(len, self._waiting.values()))

    def wait(self, row: Hashable, go_on: Callable[[], None]) -> None:
        """Have `go_on` called once the row may be free."""
        self._waiting.setdefault(row, deque()).append(go_on)

    def give_up(self, row: Hashable, go_on: Callable[[], None]) -> None:
        """Wait no longer."""
        waiting = self._waiting.get(row)
        if waiting is not None and go_on in waiting:
            waiting.remove(go_on)

    def forget_waiting(self) -> None:
        """Nobody goes on: the server is gone."""
        self._waiting.clear()

    def release(self, transaction: "Transaction") -> None:
        """Free all rows of the transaction; the first in each queue goes on."""
        if not transaction.locked:
            return
        locked, transaction.locked = transaction.locked, set()
        for row in locked:
            del self._holders[row]
        for row in sorted(locked, key=repr) if len(locked) > 1 else locked:
            # whoever goes on takes the row, or leaves it to the next
            while row not in self._holders and (waiting := self._waiting.get(row)):
                waiting.popleft()()


class Transaction:
    """What one transaction has changed so far."""

    __slots__ = (
        "_changes",
        "_database",
        "_waits_for_disk",
        "begun_at",
        "failed",
        "locked",
        "models",
        "moved",
        "pending",
    )

    def __init__(self, database: "SimulatedDatabase", *, waits_for_disk: bool = True) -> None:
        self._waits_for_disk = waits_for_disk
        self._database = database
        self.begun_at: datetime = database.clock()
        self._changes: list[Change] = []
        self.locked: set[Hashable] = set()
        self.pending: dict[Hashable, Any] = {}
        self.moved: set[int] = set()
        self.models: set[tuple[str, int]] = set()
        self.failed = False

    @property
    def database(self) -> "SimulatedDatabase":
        return self._database

    @property
    def has_changes(self) -> bool:
        return bool(self._changes)

    def lock(self, row: Hashable) -> None:
        """Raises LockWaitError."""
        self._database.locks.take(row, self)

    def shard(self, shard: int) -> ShardState | None:
        """The shard's row as this transaction sees it."""
        own: ShardState | None = self.pending.get(("shards", shard))
        return own or self._database.shards.get(shard)

    def set_shard(self, row: ShardState) -> None:
        """Change the shard's row, which is locked."""
        self.pending["shards", row.shard] = row
        self.moved.add(row.shard)
        self.change(lambda: self._database.shards.__setitem__(row.shard, row))

    def change(self, change: Change) -> None:
        """Have something done at the commit, after what came before.

        It gives back what undoes it, if it can be part of a commit that does not wait for the disk.
        """
        self._changes.append(change)

    def commit(self) -> None:
        """Let everybody see the changes, then free the rows: whoever waited may go on at once."""
        undo = [change() for change in self._changes]
        if self._changes:
            self._database.written(undo, flushed=self._waits_for_disk)
        self._database.tell_of(self)
        self._database.locks.release(self)

    def roll_back(self) -> None:
        self._changes.clear()
        self._database.locks.release(self)
