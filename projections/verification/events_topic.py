"""Has the events topic the same entries as the log, byte for byte and in order?

Read by the rule that every consumer follows: take exactly the next position, ignore what is below
it, and wait on what is above, for it is sent again.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aiokafka import ConsumerRecord
from asyncpg import Connection, Record

from engine.events_topic import TRACEPARENT, EventRecord, cloud_event_headers, published_place
from engine.replay import read_shard
from projections.verification.findings import Findings
from projections.verification.queries import QUERIES
from projections.verification.shard import ShardProof
from projections.verification.topic_partition import PartitionReader

_CHECK: Final = "events_topic"
_PAGE_ENTRIES: Final = 2_000


class EventsTopicCheck:
    """One partition of the events topic beside the shard of the same number."""

    def __init__(self, findings: Findings, connection: Connection, shard: ShardProof) -> None:
        self._findings = findings
        self._connection = connection
        self._proof = shard
        self._shard = shard.shard
        self._next = 0
        self._log: AsyncIterator[Record] | None = None
        self._differs = False

    async def run(self, reader: PartitionReader, on_page: Callable[[int], None]) -> None:
        """Reads all that the topic has."""
        self._findings.checked(_CHECK, 0)
        begin, end = await reader.extent()
        async for records in reader.pages(begin, end):
            await self._page(records, begin)
            on_page(len(records))
        if begin == end and begin > 0:
            self._note("none of its entries is on the topic any more")
        elif self._next < self._proof.published:
            self._report(
                f"the shard's entries below {self._proof.published} are said to be published, and "
                "no record brings this one after those before it",
                position=self._next,
            )

    async def _page(self, records: Sequence[ConsumerRecord], begin: int) -> None:
        repeated: dict[int, list[ConsumerRecord]] = {}
        for record in records:
            position = self._position(record)
            if position is None:
                continue
            if self._log is None:
                self._start(position if begin else 0)
            if position == self._next:
                await self._compare(record)
            elif position < self._next:
                repeated.setdefault(position, []).append(record)
        await self._compare_repeated(repeated)

    def _start(self, position: int) -> None:
        self._next = position
        self._log = self._rows(position)
        if position:
            self._note(f"the topic reaches back to position {position}")

    async def _rows(self, start: int) -> AsyncIterator[Record]:
        async for rows in read_shard(
            self._connection, self._shard, start, self._proof.entries, _PAGE_ENTRIES
        ):
            for row in rows:
                yield row

    def _position(self, record: ConsumerRecord) -> int | None:
        place = published_place(record.value)
        if place is None or place.shard != self._shard:
            self._report("the record is no entry of this shard", offset=record.offset)
            return None
        return place.position

    async def _compare(self, record: ConsumerRecord) -> None:
        position, self._next = self._next, self._next + 1
        if position >= self._proof.entries or self._log is None or self._differs:
            return
        self._findings.checked(_CHECK)
        row = await anext(self._log, None)
        if row is None or row["position"] != position:
            # from here on the two are out of step
            self._differs = True
            self._report("the topic has this entry, and the log does not", position=position)
        else:
            self._compare_record(record, row)

    def _compare_record(self, record: ConsumerRecord, row: Record) -> None:
        if record.value != row["data"]:
            what = "bytes"
        elif record.key != row["wallet_id"].encode():
            what = "key"
        elif not self._has_headers(record, row):
            what = "headers"
        else:
            return
        self._report(
            f"the record has other {what} than the log's entry leads to",
            position=row["position"],
            offset=record.offset,
        )

    def _has_headers(self, record: ConsumerRecord, row: Record) -> bool:
        own = self._headers(row)
        more = [name for name, _ in record.headers[len(own) :]]
        return list(record.headers[: len(own)]) == own and more in ([], [TRACEPARENT])

    def _headers(self, row: Record) -> list[tuple[str, bytes]]:
        columns = (row["position"], row["wallet_id"], row["type"], row["occurred_at"], row["data"])
        record = EventRecord(*columns, last=True)
        return next(cloud_event_headers(self._shard, [record]))

    async def _compare_repeated(self, repeated: dict[int, list[ConsumerRecord]]) -> None:
        """Consumers drop a repeat, so one with other bytes would part them from the log."""
        if not repeated:
            return
        rows = await self._connection.fetch(QUERIES["entries_at"], self._shard, list(repeated))
        for row in rows:
            for record in repeated[row["position"]]:
                if record.value != row["data"]:
                    self._report(
                        "the entry was sent a second time with other bytes than the log has",
                        position=row["position"],
                        offset=record.offset,
                    )

    def _note(self, text: str) -> None:
        self._findings.note(_CHECK, f"shard {self._shard}: {text}")

    def _report(
        self, message: str, *, position: int | None = None, offset: int | None = None
    ) -> None:
        self._findings.report(_CHECK, message, shard=self._shard, position=position, offset=offset)
