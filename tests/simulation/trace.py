"""What happened in a run, moment by moment, for a person to read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.simulation.loop import current_process

_LINES_KEPT = 200_000
_TEXT_MAX = 240


class Line(NamedTuple):
    """One thing that happened; `at_us` microseconds after the run began."""

    at_us: int
    who: str
    what: str

    def __str__(self) -> str:
        what = self.what if len(self.what) <= _TEXT_MAX else f"{self.what[:_TEXT_MAX]} …"
        return f"{self.at_us / 1_000_000:12.6f}  {self.who:<12}  {what}"


class Trace:
    """Takes down what the world tells, what is committed and published, and what engines log."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def note(self, at_us: int, who: str, what: str) -> None:
        """Take one thing down."""
        if len(self.lines) < _LINES_KEPT:
            self.lines.append(Line(at_us, who, what))

    @contextmanager
    def following(self, world: Any) -> Iterator[None]:
        """Listen to a world for as long as it runs."""
        listening = _Listening(self, world)
        world.database.commit_listeners.insert(0, listening.committed)
        world.broker.record_listeners.insert(0, listening.landed)
        loggers = [logging.getLogger(name) for name in ("engine", "projections")]
        before = [(logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.addHandler(listening)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, (level, propagate) in zip(loggers, before, strict=True):
                logger.removeHandler(listening)
                logger.setLevel(level)
                logger.propagate = propagate


class _Listening(logging.Handler):
    def __init__(self, trace: Trace, world: Any) -> None:
        super().__init__()
        self._trace = trace
        self._world = world
        self._before = dict(world.database.shards)

    def _note(self, what: str) -> None:
        process = current_process()
        who = "server" if process is None else process.name
        self._trace.note(int(self._world.loop.time() * 1_000_000), who, what)

    def emit(self, record: logging.LogRecord) -> None:
        self._note(f"{record.levelname.lower()}: {record.getMessage()}")

    def committed(self, shard: int) -> None:
        before, row = self._before[shard], self._world.database.shards[shard]
        self._before[shard] = row
        told = [
            f"{name} {getattr(before, name)} -> {getattr(row, name)}"
            for name in ("next_offset", "position", "published", "halted")
            if getattr(before, name) != getattr(row, name)
        ]
        if row.lease != before.lease:
            told.append(f"claimed by {row.owner} (epoch {row.epoch})")
        self._note(f"commit, shard {shard}: {', '.join(told) or 'nothing new'}")
        for entry in self._world.database.tables[shard].log[before.position : row.position]:
            self._note(f"  entry {shard}:{entry.position} {_told(entry)}")

    def landed(self, topic: str, partition: int, record: Any) -> None:
        if topic != "wallet.commands":
            place = dict(record.headers).get("ce_id", b"").decode()
            self._note(f"{topic} {partition}:{record.offset} has {place or record.value!r}")


def _told(row: Any) -> str:
    entry = row.entry
    event = entry.event
    said = [f"of offset {entry.offset}" if entry.offset is not None else "by a timer"]
    for name in ("code", "amount", "balance_after", "lot", "expires_at"):
        value = getattr(event, name, None)
        if value is not None:
            said.append(f"{name} {value}")
    return (
        f"{row.type} {row.wallet_id} v{row.version} {', '.join(said)} at {row.occurred_at:%T.%f}"
    )
