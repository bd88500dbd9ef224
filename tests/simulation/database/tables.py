"""The committed tables of one shard of the log, with the indexes that its queries look things up by."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter

from tests.simulation.database.errors import unique_violation
from tests.simulation.database.rows import (
    StoredDeadLetter,
    StoredForward,
    StoredRow,
    StoredSnapshot,
)

_by_position = attrgetter("position")
_by_version = attrgetter("version")


class ShardTables:
    """Everything that one shard has besides its row in `shards`."""

    def __init__(self) -> None:
        self.log: list[StoredRow] = []
        self.at_position: dict[int, StoredRow] = {}
        self.of_command: dict[bytes, StoredRow] = {}
        self.at_version: dict[tuple[str, int], StoredRow] = {}
        self.events: dict[str, list[StoredRow]] = {}
        self.due: list[tuple[datetime, str]] = []
        self.dead_letters: dict[int, StoredDeadLetter] = {}
        self.forwards: dict[int, StoredForward] = {}
        self.snapshots: dict[str, StoredSnapshot] = {}
        self.tiles: dict[int, dict[int, bytes]] = {}

    def check_unique(self, rows: Iterable[StoredRow]) -> None:
        """Raise as the indexes of `log` do, in the order in which they were made."""
        positions: set[int] = set()
        versions: set[tuple[str, int]] = set()
        commands: set[bytes] = set()
        for row in rows:
            shard, position, command_id = row.shard, row.position, row.command_id
            if position in self.at_position or position in positions:
                raise unique_violation(
                    "log", "log_pkey", f'(shard, "position")=({shard}, {position})'
                )
            positions.add(position)
            if row.version is not None:
                version = (row.wallet_id, row.version)
                if version in self.at_version or version in versions:
                    raise unique_violation(
                        "log",
                        "log_version_once",
                        f"(shard, wallet_id, version)=({shard}, {version[0]}, {version[1]})",
                    )
                versions.add(version)
            if command_id in self.of_command or command_id in commands:
                raise unique_violation(
                    "log",
                    "log_command_once",
                    f"(shard, command_id)=({shard}, \\x{command_id.hex()})",
                )
            commands.add(command_id)

    def add(self, rows: Iterable[StoredRow]) -> None:
        """Take in rows that `check_unique` has let pass."""
        log = self.log
        for row in rows:
            if not log or log[-1].position < row.position:
                log.append(row)
            else:
                insort(log, row, key=_by_position)
            self.at_position[row.position] = row
            self.of_command[row.command_id] = row
            if row.version is not None:
                self.at_version[row.wallet_id, row.version] = row
                events = self.events.setdefault(row.wallet_id, [])
                if not events or events[-1].version < row.version:  # type: ignore[operator]
                    events.append(row)
                else:
                    insort(events, row, key=_by_version)

    def entries(self, start: int, stop: int, count_max: int | None = None) -> Sequence[StoredRow]:
        """Rows from position `start` to `stop` (exclusive), in order."""
        log = self.log
        first = bisect_left(log, start, key=_by_position)
        last = bisect_left(log, stop, first, key=_by_position)
        if count_max is not None:
            last = min(last, first + count_max)
        return log[first:last]

    def events_after(self, wallet_id: str, version: int) -> Sequence[StoredRow]:
        """The wallet's rows with a higher version, by version."""
        events = self.events.get(wallet_id)
        if events is None:
            return ()
        return events[bisect_left(events, version + 1, key=_by_version) :]

    def change_due(
        self, added: Iterable[tuple[datetime, str]], removed: Iterable[tuple[datetime, str]]
    ) -> None:
        """Take in and take out; the same row in both is more than a statement should be asked for."""
        self.due = sorted(set(self.due).difference(removed).union(added))
