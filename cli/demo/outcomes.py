"""What became of every line that was sent, told twice: by the demo's own record and by the log."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from asyncpg import Connection

from cli.demo.watch import QUERIES
from cli.errors import DemoFailedError
from cli.output import print_table
from cli.sending import SentLine
from engine.receipts import Accepted, DeadLettered, Outcome, Receipt, resolve_many
from schemas.events import TAGS

_RESOLVED_AT_ONCE: Final = 2_000

ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected"
REPEATED: Final = "repeated"
DEAD_LETTER: Final = "dead letter"


class Kind(NamedTuple):
    """What a line came to, and as what: the event's type, the code or the reason."""

    outcome: str
    name: str


class Outcomes:
    """Counts of what the lines came to, each resolved by its receipt (partition, offset)."""

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()

    @property
    def total(self) -> int:
        return self.counts.total()

    async def resolve(self, connection: Connection, sent: Sequence[SentLine]) -> None:
        """Ask for the outcome of each line; raises DemoFailedError for one that has none."""
        for start in range(0, len(sent), _RESOLVED_AT_ONCE):
            lines = sent[start : start + _RESOLVED_AT_ONCE]
            receipts = [Receipt(line.line.command, line.partition, line.offset) for line in lines]
            outcomes = await resolve_many(connection, receipts)
            for line, outcome in zip(lines, outcomes, strict=True):
                self.counts[_kind(line, outcome)] += 1

    async def compare_with_log(self, connection: Connection) -> None:
        """Holds the log to these counts: nothing more and nothing less is in it.

        Together with one outcome for each line this leaves no room for a second one.
        """
        expected = Counter(
            {kind: n for kind, n in self.counts.items() if kind.outcome != REPEATED}
        )
        logged = await _logged(connection)
        if logged != expected:
            kinds = sorted(kind for kind in expected | logged if expected[kind] != logged[kind])
            raise DemoFailedError(
                "the log and what was sent do not agree: "
                + "; ".join(
                    f"{kind.outcome} {kind.name}: {logged[kind]:,} in the log, {expected[kind]:,}"
                    " of what was sent"
                    for kind in kinds
                )
            )

    def show(self) -> None:
        """A table, the commonest first in each group."""
        order = [ACCEPTED, REJECTED, REPEATED, DEAD_LETTER]
        rows = sorted(
            self.counts.items(), key=lambda item: (order.index(item[0].outcome), -item[1])
        )
        print_table(
            ["  outcome", "as", "commands"],
            [
                *((f"  {kind.outcome}", kind.name, count) for kind, count in rows),
                ("  all", "", self.total),
            ],
            right=["commands"],
        )


def _kind(line: SentLine, outcome: Outcome | None) -> Kind:
    place = f"line {line.line.number} (partition {line.partition}, offset {line.offset})"
    if outcome is None:
        raise DemoFailedError(f"{place} has no outcome, though its shard is past it")
    if isinstance(outcome, DeadLettered):
        return Kind(DEAD_LETTER, outcome.reason)
    if outcome.duplicate:
        return Kind(REPEATED, "the first outcome again")
    if (outcome.entry.shard, outcome.entry.offset) != (line.partition, line.offset):
        raise DemoFailedError(f"{place} resolves to the outcome of another record")
    if isinstance(outcome, Accepted):
        return Kind(ACCEPTED, TAGS[type(outcome.entry.event)])
    return Kind(REJECTED, outcome.rejection.code)


async def _logged(connection: Connection) -> Counter[Kind]:
    logged: Counter[Kind] = Counter()
    for row in await connection.fetch(QUERIES["outcomes"]):
        kind = Kind(ACCEPTED, row["type"]) if row["code"] is None else Kind(REJECTED, row["code"])
        logged[kind] = row["count"]
        if row["count"] != row["records"]:
            raise DemoFailedError(
                f"{row['count'] - row['records']:,} records have two outcomes that are {kind.name}"
            )
    for row in await connection.fetch(QUERIES["dead_letters"]):
        logged[Kind(DEAD_LETTER, row["reason"])] = row["count"]
    if forwards := await connection.fetchval(QUERIES["forwards"]):
        raise DemoFailedError(f"{forwards:,} records were forwarded, and all were sent home")
    return logged
