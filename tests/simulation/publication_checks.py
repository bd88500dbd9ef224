"""What has to hold for a shard's partitions of the events topic and of the dead letters'."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any, NoReturn

from tests.simulation.database.tables import ShardTables
from tests.simulation.violation import Violation

_PAYLOAD_BYTES_MAX = 256 * 1024


class EventConsumer:
    """Takes exactly the entry after its last one, ignores older ones, waits for those between."""

    def __init__(self, shard: int, database: Any) -> None:
        self.shard = shard
        self.taken = 0
        self._database = database
        self._tables: ShardTables = database.tables[shard]

    def receive(self, record: Any) -> None:
        """Look at a record as it lands."""
        headers = dict(record.headers)
        shard, _, number = headers.get("ce_id", b"").partition(b":")
        if shard != b"%d" % self.shard or not number.isdigit():
            self._fail("published_other", f"what is to be an entry has headers {record.headers}")
        position, log = int(number), self._tables.log
        if position >= len(log):
            self._fail("published_uncommitted", f"entry {position} is not in the log")
        if record.value != log[position].data:
            self._fail("published_other", f"entry {position} is another one in the log")
        if record.key != log[position].wallet_id.encode():
            self._fail("published_other", f"entry {position} has the key {record.key!r}")
        self.taken += position == self.taken

    def check_checkpoint(self) -> None:
        """What the row calls published has to be on the topic, without a hole."""
        published = self._database.shards[self.shard].published
        if published > self.taken:
            text = f"the row says {published}, a consumer has come to {self.taken}"
            self._fail("published_too_far", text)

    def _fail(self, kind: str, text: str) -> NoReturn:
        raise Violation(kind, f"shard {self.shard}: {text}")


class LetterConsumer:
    """Reads dead letters, each of which comes at least once."""

    def __init__(self, shard: int, database: Any) -> None:
        self.shard = shard
        self.seen: set[int] = set()
        self._tables: ShardTables = database.tables[shard]

    def receive(self, record: Any) -> None:
        """Look at a record as it lands."""
        told = json.loads(record.value)
        row = self._tables.dead_letters.get(told["offset"])
        place = f"shard {self.shard}: the dead letter of offset {told['offset']}"
        if row is None:
            raise Violation("letter_uncommitted", f"{place} is not in the database")
        payload = None if told["payload"] is None else b64decode(told["payload"])
        kept = None if row.payload is None else row.payload[:_PAYLOAD_BYTES_MAX]
        if (told["reason"], payload) != (row.reason, kept):
            raise Violation("letter_other", f"{place} is {told}, and {row} is stored")
        self.seen.add(told["offset"])

    def missing(self, say: Callable[[str], None]) -> None:
        """Say which dead letter has not been published, or is not marked so."""
        for offset, row in self._tables.dead_letters.items():
            if row.published_at is not None and offset not in self.seen:
                raise Violation("letter_lost", f"{self.shard}:{offset} is marked, and not there")
            if row.published_at is None:
                say(f"the dead letter of {self.shard}:{offset} is not known to be published")
