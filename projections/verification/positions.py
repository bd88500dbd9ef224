"""Does a shard's log run from position 0 to its size, with nothing missing and nothing added?"""

from collections.abc import Sequence

from asyncpg import Record

from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard


class PositionCheck:
    """Takes the pages of one shard's log in order; `next` is the position that should come next."""

    def __init__(self, findings: Findings, frozen: FrozenShard, next_: int = 0) -> None:
        self.next = next_
        self._findings = findings
        self._frozen = frozen

    def page(self, rows: Sequence[Record]) -> None:
        self._findings.checked("positions", len(rows))
        positions = [row["position"] for row in rows]
        if positions != list(range(self.next, self.next + len(rows))):
            for position in positions:
                if position != self.next:
                    self._missing(self.next, position)
                self.next = position + 1
        self.next = positions[-1] + 1

    def finish(self) -> None:
        """Is the end where the shard's row says, and nothing before the beginning?"""
        frozen = self._frozen
        if self.next < frozen.size:
            self._missing(self.next, frozen.size)
        if frozen.first is not None and frozen.first < 0:
            self._report(frozen.first, "a position before the first, which is 0")
        if frozen.last is not None and frozen.last >= frozen.size:
            self._report(
                frozen.size,
                f"the shard's row says that the log ends before this position, and it goes on to "
                f"{frozen.last}: entries were added without the engine",
            )

    def _missing(self, start: int, stop: int) -> None:
        upto = "" if stop == start + 1 else f" and all up to {stop - 1}"
        self._report(start, f"the entry{upto} is missing")

    def _report(self, position: int, message: str) -> None:
        self._findings.report("positions", message, shard=self._frozen.shard, position=position)
