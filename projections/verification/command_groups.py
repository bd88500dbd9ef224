"""Which entries belong to one command, and whether they stand as an append leaves them."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from projections.verification.findings import Findings
from schemas.entries import Entry, decode_entry, encode_entry

Group = list[Entry]
"""The entries of one command, its outcome last; or the one entry of a timer."""


class Grouping(Struct, kw_only=True):
    """Where cutting stands: entries, encoded, of a command that is not complete."""

    open: list[bytes] = []
    last_offset: int = -1


class CommandGroups:
    """Cuts one shard's entries, given in order, into groups."""

    def __init__(
        self, findings: Findings, shard: int, next_offset: int, at: Grouping | None = None
    ) -> None:
        at = at or Grouping()
        self._findings = findings
        self._tally = findings.tally("commands")
        self._shard = shard
        self._next_offset = next_offset
        self._open: Group = [decode_entry(entry) for entry in at.open]
        self._last_offset = at.last_offset

    @property
    def at(self) -> Grouping:
        """What to go on from."""
        return Grouping(
            open=[encode_entry(entry) for entry in self._open], last_offset=self._last_offset
        )

    def page(self, entries: Iterable[Entry]) -> Iterator[Group]:
        """The groups that these entries complete, each before the next entry is looked at."""
        for entry in entries:
            if self._open:
                if not _belong_together(self._open[-1], entry):
                    self._report(
                        self._open[-1].position,
                        "the entry is not marked as the last of its command, and another follows",
                    )
                    yield self._take()
            elif entry.last:
                yield self._complete([entry])
                continue
            self._open.append(entry)
            if entry.last:
                yield self._take()

    def finish(self) -> Iterator[Group]:
        """What is left when the shard ends, which should be nothing."""
        if self._open:
            self._report(
                self._open[-1].position, "the shard ends in the middle of a command's entries"
            )
            yield self._take()

    def _take(self) -> Group:
        group, self._open = self._open, []
        return self._complete(group)

    def _complete(self, group: Group) -> Group:
        self._tally.checked += 1
        offset = group[-1].offset
        if offset is not None:
            if not self._last_offset < offset < self._next_offset:
                self._report_offset(group[-1], offset)
            self._last_offset = max(offset, self._last_offset)
        return group

    def _report_offset(self, entry: Entry, offset: int) -> None:
        if offset <= self._last_offset:
            self._report(
                entry.position,
                f"its command's offset is {offset}, after one at offset {self._last_offset}",
            )
        if offset >= self._next_offset:
            self._report(
                entry.position,
                f"its command's offset is {offset}, and only those below {self._next_offset} "
                "are decided",
            )

    def _report(self, position: int, message: str) -> None:
        self._findings.report("commands", message, shard=self._shard, position=position)


def _belong_together(before: Entry, after: Entry) -> bool:
    return (
        before.offset is not None
        and before.offset == after.offset
        and before.wallet_id == after.wallet_id
        and before.occurred_at == after.occurred_at
    )
