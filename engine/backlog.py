"""What a lease has been handed: queued, perhaps taken in ahead, and counted until it is done."""

from collections.abc import Callable, Sequence
from typing import Final

from engine.intake import Intake, Record, clean_detail, dead_letter, take_in
from engine.record_queue import RecordQueue, sizes_bytes

HELD_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of records, from their delivery until they are appended: no more is fetched above it."""


class Backlog:
    """Records in the order of the partition, given out a batch at a time as commands.

    `on_full` is called when no more should be fetched, `on_room` when it is time to fetch again.
    """

    def __init__(
        self,
        shard: int,
        partitions: int,
        commands_max: int,
        *,
        on_full: Callable[[], None],
        on_room: Callable[[], None],
    ) -> None:
        self._shard = shard
        self._partitions = partitions
        self._commands_max = commands_max
        self._queue = RecordQueue()
        self.held_bytes = 0
        self._on_full = on_full
        self._on_room = on_room
        self._ahead: tuple[list[Record], Intake] | None = None
        self._refused: dict[int, str] = {}
        self.was_full = False

    def __bool__(self) -> bool:
        return bool(self._queue) or self._ahead is not None

    def has_at_most(self, commands: int) -> bool:
        """Whether so few are left, none of them taken in, that they may be left to become more."""
        return self._ahead is None and len(self._queue) <= commands

    def put(self, records: Sequence[Record]) -> None:
        self.held_bytes += self._queue.put(records)
        if self._reaches(1.0):
            self.was_full = True
            self._on_full()

    def take(self, commands_max: int) -> tuple[list[Record], Intake]:
        """The next batch, as it was taken in ahead or is now."""
        if self._ahead is not None:
            taken, self._ahead = self._ahead, None
            return taken
        records = self._queue.take(commands_max)
        self._look_for_room()
        return records, self._take_in(records)

    def take_ahead(self, commands_max: int) -> None:
        """Take the next batch in now, if there is any, for the next `take`."""
        if self._queue:
            self._ahead = self.take(commands_max)

    def done(self, records: Sequence[Record]) -> None:
        """These have been appended, and will not be put back."""
        self.held_bytes -= sum(sizes_bytes(records))
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self.was_full and not self._reaches(0.5):
            self.was_full = False
            self._on_room()

    def _reaches(self, share: float) -> bool:
        return (
            len(self._queue) >= self._commands_max * share
            or self.held_bytes >= HELD_BYTES_MAX * share
        )

    def put_back(self, records: Sequence[Record]) -> None:
        """Records that were taken, and come before all that is here."""
        if self._ahead is not None:
            self._queue.put_back(self._ahead[0])
            self._ahead = None
        self._queue.put_back(records)

    def clear(self) -> None:
        """Let go of everything: whoever comes next has it fetched again."""
        self._queue.clear()
        self._ahead = None
        self.held_bytes = 0

    def refuse(self, offset: int, detail: str) -> None:
        """Make a dead letter of the record there, which the database takes nothing of."""
        self._refused = {offset: clean_detail(detail)}

    def _take_in(self, records: Sequence[Record]) -> Intake:
        if not self._refused:
            return take_in(records, self._shard, self._partitions)
        intake = take_in(
            [record for record in records if record.offset not in self._refused],
            self._shard,
            self._partitions,
        )
        intake.dead_letters += [
            dead_letter(record, "refused_by_database", self._refused[record.offset])
            for record in records
            if record.offset in self._refused
        ]
        return intake
