"""What can go wrong between a client and the database, and in it."""

from collections.abc import Sequence
from typing import Protocol


class DatabaseTrouble(Protocol):
    """Asked at each step of each statement; `what` is the query's name, or "connect", "begin" …"""

    def request(self, what: str) -> float:
        """Seconds on the way to the server. What it raises, the client gets: nothing was done."""
        ...

    def commit(self, what: str) -> float:
        """Seconds that the server takes to commit, locks held; what it raises rolls back.

        CommitWithoutReplyError: the client loses its connection now, and the commit is done later.
        """
        ...

    def reply(self, what: str) -> float:
        """Seconds on the way back. What it raises, the client gets: all was done."""
        ...

    def repeat(self, what: str) -> float:
        """Seconds until a statement is done once more, and nobody hears of it; 0 if it is not."""
        ...

    def refuse(self, entries: Sequence[bytes]) -> None:
        """Raise what the server has against entries of the log."""
        ...


class NoTrouble:
    """Everything works, at once."""

    def request(self, what: str) -> float:
        return 0.0

    def commit(self, what: str) -> float:
        return 0.0

    def reply(self, what: str) -> float:
        return 0.0

    def repeat(self, what: str) -> float:
        return 0.0

    def refuse(self, entries: Sequence[bytes]) -> None:
        return
