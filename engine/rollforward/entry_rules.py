"""What holds for each entry of a shard besides its bytes: place, order, ids, whole commands."""

from datetime import datetime

import msgspec

from engine.rollforward.errors import EntryRefusedError
from engine.rollforward.succession import Published
from schemas import digests
from schemas.entries import Entry, decode_entry
from schemas.events import CommandRejected, Expired
from schemas.instants import to_text


class EntryRules:
    """Takes the entries of one shard in order, from where the restored log ends.

    `next_offset` and `last_at` are those of the restored row: what comes after was decided from
    later commands, at later times.
    """

    def __init__(self, topic: str, shard: int, *, next_offset: int, last_at: datetime) -> None:
        self._topic = topic
        self._shard = shard
        self._offset_min = next_offset
        self._last_at = last_at
        self._open: Entry | None = None
        self._further = 0

    @property
    def inside_command(self) -> Entry | None:
        """The last entry, if its command's outcome has not come yet."""
        return self._open

    def read(self, published: Published) -> Entry:
        """The entry of a record; raises EntryRefusedError with what is wrong about it."""
        try:
            entry = decode_entry(published.data)
        except msgspec.DecodeError as error:
            raise self._refused(
                published,
                f"can't be read ({error}); if a newer release wrote it, roll forward with that one",
            ) from error
        if wrong := self._wrong(entry, published):
            raise self._refused(published, wrong)
        self._move_on(entry)
        return entry

    def _wrong(self, entry: Entry, published: Published) -> str | None:
        if published.key != entry.wallet_id.encode():
            return f"has another key than its wallet, {entry.wallet_id}"
        if entry.occurred_at < self._last_at:
            before = to_text(self._last_at)
            return f"is of {to_text(entry.occurred_at)}, and what stands before it of {before}"
        return self._wrong_command(entry) or self._wrong_identity(entry)

    def _wrong_command(self, entry: Entry) -> str | None:
        before = self._open
        if before is not None:
            together = (entry.offset, entry.wallet_id, entry.occurred_at)
            if together != (before.offset, before.wallet_id, before.occurred_at):
                return f"stands inside the command at offset {before.offset}, and is not of it"
            return None
        if entry.offset is not None and entry.offset < self._offset_min:
            return (
                f"was decided from offset {entry.offset} of the commands, and the entries before"
                f" it from all below {self._offset_min}"
            )
        return None

    def _wrong_identity(self, entry: Entry) -> str | None:
        event = entry.event
        if isinstance(event, CommandRejected) is (entry.version is not None):
            return "has a version and is a rejection, or has none and is not"
        if isinstance(event, Expired):
            expected = [digests.expiry_id(entry.wallet_id, event.lot)]
        elif entry.offset is None:
            return "comes from no command, and is no expiry"
        elif isinstance(event, CommandRejected):
            identity = digests.command_id(entry.wallet_id, event.command.reference)
            body = digests.body_digest(event.command)
            expected = [identity, digests.conflict_id(identity, body)]
        else:
            identity = digests.command_id(entry.wallet_id, event.reference)
            expected = [identity if entry.last else digests.further_id(identity, self._further)]
        if entry.command_id not in {each.hex() for each in expected}:
            return f"has the id {entry.command_id}, which is not the one of such an entry"
        return None

    def _move_on(self, entry: Entry) -> None:
        self._last_at = entry.occurred_at
        if not entry.last:
            if not isinstance(entry.event, Expired):
                self._further += 1
            self._open = entry
            return
        self._open, self._further = None, 0
        if entry.offset is not None:
            self._offset_min = entry.offset + 1

    def _refused(self, published: Published, wrong: str) -> EntryRefusedError:
        return EntryRefusedError(
            f"{self._topic}, partition {self._shard}, offset {published.offset}: the entry at"
            f" position {published.position} {wrong}. It is not what an engine published there:"
            " find out who wrote it, and restore the database to a point past this position, or"
            " the topic from a mirror."
        )
