"""What goes wrong in a run: the planned faults and the rates, asked at each step of each request."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from aiokafka.errors import NotEnoughReplicasError
from msgspec import Struct

from tests.simulation.broker import Publication
from tests.simulation.database.errors import (
    CommitWithoutReplyError,
    lock_timeout,
    lost,
    query_canceled,
    serialization_failure,
    server_error,
)
from tests.simulation.loop import current_process
from tests.simulation.plan import Rates

COMMANDS_TOPIC: Final = "wallet.commands"
EVENTS_TOPIC: Final = "wallet.events"
_FORWARDS_FAIL: Final = 10
_APPENDS: Final = ("append", "advance", "commit")
_FAILURES: Final = (serialization_failure, lock_timeout, query_canceled)
_NEVER_REFUSED: Final = ("connect", "begin", "rollback", "listen", "set")
_LATE_S: Final = (0.01, 0.1, 1.0, 6.0)
_REPEATED_S: Final = (0.02, 0.1, 0.5, 2.0, 4.0)
_APPENDS_REPEATED: Final = 25
_BEYOND_TIMEOUTS_S: Final = 11.0
"""Longer than a client waits for an answer, and than a transaction may take."""


class Weather(Struct):
    """What is about to go wrong with one process."""

    away_until: float = 0.0
    appends: list[int] = []
    statements: list[int] = []
    publications: list[int] = []
    fetches: list[tuple[str, float]] = []
    repeats: list[float] = []


class Trouble:
    """The trouble of the database and of the broker, told apart by the process that runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        rates: Rates,
        source: Random,
        counted: Counter[str],
        refused: Mapping[str, str],
    ) -> None:
        self._loop = loop
        self._rates = rates
        self._random = source.random
        self._source = source
        self._counted = counted
        self._refused = {
            b'"reference":"%s"' % reference.encode(): code for reference, code in refused.items()
        }
        self._weather: dict[str, Weather] = {}
        self._commits_unknown = 0
        self.disk_slow_until = 0.0
        self.disk_slow_s = 0.0

    def of(self, name: str) -> Weather:
        return self._weather.setdefault(name, Weather())

    def clear(self) -> None:
        """Nothing goes wrong from here on."""
        self._rates = Rates()
        self._weather.clear()
        self._commits_unknown = 0
        self.disk_slow_until = 0.0

    def _here(self) -> Weather | None:
        if not self._weather:
            return None
        process = current_process()
        return None if process is None else self._weather.get(process.name)

    def _hits(self, name: str, rate: float) -> bool:
        if rate and self._random() < rate:
            self._counted[name] += 1
            return True
        return False

    # the database's

    def request(self, what: str) -> float:
        rates, here = self._rates, self._here()
        if here is not None:
            if here.statements and what not in _NEVER_REFUSED:
                failure = _FAILURES[here.statements.pop(0)]
                raise failure()
            if here.appends and what in _APPENDS:
                size = here.appends[0]
                if size < 2:
                    here.appends.pop(0)
                if size == 0:
                    raise lost()
                self._commits_unknown += size == 1
        if self._hits("statement_failed", rates.statement_failed):
            failure = lost if what in _NEVER_REFUSED else self._source.choice((*_FAILURES, lost))
            raise failure()
        # most go at once: each way costs the simulation more than many a statement
        draw = self._random()
        seconds = 0.01 * (draw - 0.7) if draw > 0.7 else 0.0
        if self._hits("statement_slow", rates.statement_slow):
            seconds += self._source.choice(_LATE_S)
        return seconds

    def commit(self, what: str) -> float:
        rates = self._rates
        if what in _APPENDS and self._commits_unknown:
            self._commits_unknown -= 1
            raise CommitWithoutReplyError(self._source.choice(_LATE_S))
        if self._hits("commit_unknown", rates.commit_unknown):
            raise CommitWithoutReplyError(self._source.choice(_LATE_S))
        if self._hits("statement_failed", rates.statement_failed):
            failure = self._source.choice(_FAILURES)
            raise failure()
        draw = self._random()
        seconds = 0.006 * (draw - 0.5) if draw > 0.5 else 0.0
        if self.disk_slow_until > self._loop.time():
            seconds += self.disk_slow_s * self._random()
        if self._hits("statement_slow", rates.statement_slow):
            seconds += self._source.choice((*_LATE_S, _BEYOND_TIMEOUTS_S))
        return seconds

    def reply(self, what: str) -> float:
        here = self._here()
        if here is not None and here.appends and what in _APPENDS:
            here.appends.pop(0)
            raise lost()
        if self._hits("commit_unknown", self._rates.commit_unknown):
            raise lost()
        return 0.0

    def repeat(self, what: str) -> float:
        if what != "append":
            return 0.0
        here = self._here()
        if here is not None and here.repeats:
            return here.repeats.pop(0)
        if self._hits("append_repeated", _APPENDS_REPEATED * self._rates.append_repeated):
            return self._source.choice(_REPEATED_S)
        return 0.0

    def refuse(self, entries: Sequence[bytes]) -> None:
        for named, code in self._refused.items():
            if any(named in entry for entry in entries):
                self._counted["refused"] += 1
                raise server_error(code, "the server takes nothing of this")

    # the broker's

    def trip(self, what: str) -> float:
        # longer fetches bring more records, and more seeds
        return (0.05 if what == "fetch" else 0.002) * self._random()

    def away_until(self) -> float:
        here = self._here()
        return 0.0 if here is None else here.away_until

    def publication(self, topic: str, partition: int) -> Publication:
        here, rates = self._here(), self._rates
        # few commands are forwarded, and each of them is alone
        often = _FORWARDS_FAIL if topic == COMMANDS_TOPIC else 1
        lands_s, answer_s = 0.003 * self._random(), 0.002 * self._random()
        if here is not None and here.publications and topic == EVENTS_TOPIC:
            return self._spoilt(here.publications.pop(0), lands_s, answer_s)
        if self._hits("produce_failed", often * rates.produce_failed):
            return self._spoilt(0, lands_s, answer_s)
        if self._hits("produce_unknown", often * rates.produce_unknown):
            return self._spoilt(self._source.choice((1, 2)), lands_s, answer_s)
        return Publication(lands_s, answer_s)

    def _spoilt(self, size: int, lands_s: float, answer_s: float) -> Publication:
        if size == 0:
            return Publication(lands_s, answer_s, refused=NotEnoughReplicasError())
        if size == 1:
            late_s = self._source.choice(_LATE_S)
            return Publication(late_s, None, unanswered_s=self._source.choice(_LATE_S))
        return Publication(lands_s, answer_s, repeated=True)

    # what becomes of fetched records on their way to the handler

    def delivery(self) -> tuple[str, float] | None:
        """("lost" | "repeated" | "delayed", seconds), or None."""
        here, rates = self._here(), self._rates
        if here is not None and here.fetches:
            return here.fetches.pop(0)
        if self._hits("fetch_lost", rates.fetch_lost):
            return "lost", 0.0
        if self._hits("fetch_repeated", rates.fetch_repeated):
            return "repeated", 0.0
        if self._hits("fetch_delayed", rates.fetch_delayed):
            return "delayed", self._source.choice(_LATE_S)
        return None

    def marked(self) -> bool:
        """Whether a transaction's marker takes the next offset of the commands topic."""
        return self._hits("marker", self._rates.marker)
