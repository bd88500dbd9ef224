"""What was published after the end of a restored log, as the events topic tells it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from engine.log import ShardRow
from engine.merkle import leaf_hashes
from engine.rollforward.entry_rules import EntryRules
from engine.rollforward.errors import HistoryForkedError, TopicTooShortError
from engine.rollforward.succession import Page, Published, PublishedRecord, Succession
from schemas.entries import Entry, decode_entry
from schemas.instants import to_text

MARK_BYTES: Final = 16
"""Kept of each entry's leaf hash, by which a repeat is compared, and what is appended later."""


class Suffix:
    """Takes the records of one partition in order and checks what it can without the database.

    `position` and `frontier` are where the shard's log comes to by it, `last` is the last entry of
    it, `start` the offset of the record that the first one came in, and `marks` are MARK_BYTES of
    each leaf hash.
    """

    def __init__(self, topic: str, row: ShardRow) -> None:
        self.row = row
        self.frontier = row.frontier
        self.marks = bytearray()
        self.start: int | None = None
        self.last: Entry | None = None
        self._topic = topic
        self._succession = Succession(topic, row.shard, row.position)
        self._rules = EntryRules(
            topic, row.shard, next_offset=row.next_offset, last_at=row.last_at
        )

    @property
    def position(self) -> int:
        return self._succession.position

    @property
    def has_hole(self) -> bool:
        """Whether an entry was seen without the one before it."""
        return self._succession.ahead is not None

    def sort(self, records: Sequence[PublishedRecord]) -> Page:
        """What the next records are, before any of them is taken over."""
        return self._succession.take(records)

    def in_log(self, page: Page) -> list[Published]:
        """The records of a page that the restored log has, to be compared with it."""
        return [each for each in page.repeated if each.position < self.row.position]

    def extend(self, page: Page) -> None:
        """Take over a page; raises RollForwardError for what can't be true in it."""
        if page.following and self.start is None:
            self.start = page.following[0].offset
        for published in page.following:
            self.last = self._rules.read(published)
        hashes = leaf_hashes(published.data for published in page.following)
        self.frontier.extend(hashes)
        self.marks += b"".join(leaf[:MARK_BYTES] for leaf in hashes)
        for published in page.repeated:
            if published.position >= self.row.position and not self._has(published):
                raise HistoryForkedError(
                    f"{self._topic}, partition {self.row.shard}, offset {published.offset} has"
                    f" another entry for position {published.position} than the topic has before:"
                    " an engine went on publishing what the database had lost. Restore the"
                    f" database to a later point, one that has position {published.position}, if"
                    " there is one; consumers have taken the entry that came first."
                )

    def _has(self, published: Published) -> bool:
        place = (published.position - self.row.position) * MARK_BYTES
        (leaf,) = leaf_hashes([published.data])
        return self.marks[place : place + MARK_BYTES] == leaf[:MARK_BYTES]

    def finish(self) -> None:
        """Raises RollForwardError if the topic lacks an entry, or ends inside a command."""
        ahead, shard = self._succession.ahead, self.row.shard
        if ahead is not None:
            raise TopicTooShortError(
                f"{self._topic}, partition {shard} has no entry {self.position} of shard"
                f" {shard}, which comes next: {self._instead(ahead)} {self._remedy(ahead)}"
            )
        inside = self._rules.inside_command
        if inside is not None:
            raise TopicTooShortError(
                f"{self._topic}, partition {shard} ends with entry {inside.position}, in the"
                f" middle of what the command at offset {inside.offset} came to: records after it"
                " are gone. Bring them back from a mirror, or restore the database to a point"
                f" after {to_text(inside.occurred_at)}."
            )

    def _instead(self, ahead: Published) -> str:
        between = ahead.position - self.position
        if between == 0:
            return f"it stands at offset {ahead.offset} alone, before the one that it follows."
        nowhere = (
            "the entry between is" if between == 1 else f"the {between:,} entries between are"
        )
        return f"it has entry {ahead.position} at offset {ahead.offset}, and {nowhere} nowhere."

    def _remedy(self, ahead: Published) -> str:
        try:
            since = f" (one at {to_text(decode_entry(ahead.data).occurred_at)} or later)"
        except msgspec.DecodeError:
            since = ""
        return (
            f"Restore the database to a later point{since}, or bring the records back from a"
            " mirror of the topic."
        )
