"""Has every decided record of the commands topic exactly one outcome?

That is the entry that names its offset, or a dead letter, or a forward, which is followed to the
wallet's home, or, for what was sent again, the entry of an earlier record with the same body.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import msgspec
from aiokafka import ConsumerRecord
from asyncpg import Connection, Record
from msgspec import Struct

from engine.intake import record_digest
from engine.receipts import DeadLettered, OutcomeMissingError, Receipt, resolve
from engine.replay import read_shard
from engine.topology import home
from projections.verification.findings import Findings
from projections.verification.queries import QUERIES
from projections.verification.shard import ShardProof
from projections.verification.topic_partition import PartitionReader
from schemas import digests
from schemas.commands import AnyCommand, InvalidCommandError, decode_command

_CHECK: Final = "commands_topic"
_PAGE_ENTRIES: Final = 2_000


class _Outcome(Struct, frozen=True, gc=False):
    """What an entry says about the command that it is the outcome of."""

    position: int
    wallet_id: str
    command_id: str
    body_digest: str | None
    offset: int | None
    last: bool


_outcomes = msgspec.json.Decoder(_Outcome)


class CommandsTopicCheck:
    """One partition of the commands topic beside the shard of the same number."""

    def __init__(
        self, findings: Findings, connection: Connection, shard: ShardProof, partitions: int
    ) -> None:
        self._findings = findings
        self._connection = connection
        self._proof = shard
        self._shard = shard.shard
        self._partitions = partitions
        self._entries = _EntriesByOffset(connection, shard)
        self._on_their_way = 0
        self._last: ConsumerRecord | None = None

    async def run(self, reader: PartitionReader, on_page: Callable[[int], None]) -> None:
        """Reads what the topic still has of the decided records."""
        self._findings.checked(_CHECK, 0)
        begin, end = await reader.extent()
        stop = self._proof.next_offset
        if end < stop:
            self._report(
                f"the topic ends at offset {end}, and the shard has decided up to {stop}: the "
                "topic was recreated or truncated",
                offset=end,
            )
        self._note_begin(begin)
        await self._entries.skip_below(begin)
        after = begin - 1
        async for records in reader.pages(begin, min(stop, end)):
            await self._page(records, after)
            after = records[-1].offset
            self._last = records[-1]
            on_page(len(records))
        await self._check_unmatched(after, min(stop, end))
        self._check_last_record()
        if self._on_their_way:
            self._findings.note(
                _CHECK,
                f"shard {self._shard}: {self._on_their_way} forwarded records are not decided in "
                "their home partition yet",
            )

    def _note_begin(self, begin: int) -> None:
        if begin > 0:
            self._findings.note(
                _CHECK,
                f"shard {self._shard}: the topic reaches back to offset {begin}; what came before "
                "was verified from the log alone",
            )

    async def _page(self, records: Sequence[ConsumerRecord], after: int) -> None:
        self._findings.checked(_CHECK, len(records))
        last = records[-1].offset
        entries = await self._entries.up_to(last)
        aside: dict[int, list[Record]] = {}
        for row in await self._connection.fetch(QUERIES["aside"], self._shard, after + 1, last):
            aside.setdefault(row["record_offset"], []).append(row)
        for record in records:
            await self._record(
                record, entries.pop(record.offset, []), aside.pop(record.offset, [])
            )
        self._report_unmatched(entries, aside)

    async def _check_unmatched(self, after: int, stop: int) -> None:
        """After the last record: nothing else may claim to come from one."""
        entries = await self._entries.up_to(stop - 1)
        rows = await self._connection.fetch(QUERIES["aside"], self._shard, after + 1, stop - 1)
        self._report_unmatched(entries, {row["record_offset"]: [row] for row in rows})

    def _report_unmatched(
        self, entries: dict[int, list[_Outcome]], aside: dict[int, list[Record]]
    ) -> None:
        for offset, outcomes in entries.items():
            for outcome in outcomes:
                self._report(
                    "the entry names a record that the topic does not have",
                    offset=offset,
                    position=outcome.position,
                )
        for offset, rows in aside.items():
            for row in rows:
                self._report(
                    f"there is a {row['kind']} for a record that the topic does not have",
                    offset=offset,
                )

    async def _record(
        self, record: ConsumerRecord, outcomes: list[_Outcome], aside: list[Record]
    ) -> None:
        offset, command = record.offset, _decoded(record.value)
        if len(outcomes) + len(aside) > 1:
            kinds = ["entry"] * len(outcomes) + [row["kind"] for row in aside]
            self._report(f"the record has several outcomes: {', '.join(kinds)}", offset=offset)
        elif outcomes:
            self._check_entry(outcomes[0], command)
        elif not aside:
            await self._check_repeat(offset, command)
        elif aside[0]["kind"] == "forward":
            await self._check_forward(offset, command, aside[0])

    def _check_entry(self, outcome: _Outcome, command: AnyCommand | None) -> None:
        offset, position = outcome.offset, outcome.position
        if command is None:
            message = "the entry comes from a record that is no command"
        elif command.wallet_id != outcome.wallet_id:
            message = f"the entry comes from a record for wallet {command.wallet_id}"
        elif home(command.wallet_id, self._partitions) != self._shard:
            message = "the entry comes from a record that is not at home in this partition"
        elif not _names(outcome, command):
            message = "the entry is not the outcome of the command in its record"
        else:
            return
        self._report(message, offset=offset, position=position)

    async def _check_repeat(self, offset: int, command: AnyCommand | None) -> None:
        if command is None:
            self._report("the record is no command, and there is no dead letter", offset=offset)
            return
        try:
            outcome = await resolve(self._connection, Receipt(command, self._shard, offset))
        except OutcomeMissingError as error:
            self._report(str(error), offset=offset)
            return
        if outcome is None or isinstance(outcome, DeadLettered):
            raise AssertionError(f"a decided record resolved to {outcome}")
        if outcome.entry.offset is None or outcome.entry.offset >= offset:
            self._report(
                "the command's outcome is said to come from a later record than this one",
                offset=offset,
                position=outcome.entry.position,
            )

    async def _check_forward(
        self, offset: int, command: AnyCommand | None, forward: Record
    ) -> None:
        if command is None:
            self._report("the record is no command, and was forwarded", offset=offset)
            return
        at_home = home(command.wallet_id, self._partitions)
        if forward["home"] != at_home or at_home == self._shard:
            self._report(
                f"the record was forwarded to partition {forward['home']}, and its wallet is at "
                f"home in {at_home}",
                offset=offset,
            )
            return
        try:
            receipt = Receipt(command, at_home, forward["home_offset"])
            outcome = await resolve(self._connection, receipt)
        except OutcomeMissingError as error:
            self._report(f"forwarded, and at its home {error}", offset=offset)
            return
        if outcome is None:
            self._on_their_way += 1

    def _check_last_record(self) -> None:
        digest = self._proof.last_record
        if self._last is None or digest is None:
            return
        if record_digest(self._last).hex() != digest:
            self._report(
                "the last decided record is not the one that the shard's row remembers: the topic "
                "was recreated",
                offset=self._last.offset,
            )

    def _report(self, message: str, *, offset: int | None, position: int | None = None) -> None:
        self._findings.report(_CHECK, message, shard=self._shard, position=position, offset=offset)


class _EntriesByOffset:
    """The outcomes in a shard's log, taken in the order of their commands' offsets."""

    def __init__(self, connection: Connection, shard: ShardProof) -> None:
        self._outcomes = _read_outcomes(connection, shard)
        self._next: _Outcome | None = None

    async def skip_below(self, offset: int) -> None:
        await self.up_to(offset - 1)

    async def up_to(self, offset: int) -> dict[int, list[_Outcome]]:
        """Those not taken yet whose command's offset is at most this."""
        taken: dict[int, list[_Outcome]] = {}
        while (outcome := await self._peek()) is not None and outcome.offset is not None:
            if outcome.offset > offset:
                break
            taken.setdefault(outcome.offset, []).append(outcome)
            self._next = None
        return taken

    async def _peek(self) -> _Outcome | None:
        if self._next is None:
            self._next = await anext(self._outcomes, None)
        return self._next


async def _read_outcomes(connection: Connection, shard: ShardProof) -> AsyncIterator[_Outcome]:
    async for rows in read_shard(connection, shard.shard, 0, shard.entries, _PAGE_ENTRIES):
        for row in rows:
            try:
                outcome = _outcomes.decode(row["data"])
            except (msgspec.DecodeError, RecursionError):
                # reported where the columns are compared
                continue
            if outcome.last and outcome.offset is not None:
                yield outcome


def _decoded(value: bytes | None) -> AnyCommand | None:
    try:
        return decode_command(value)
    except InvalidCommandError:
        return None


def _names(outcome: _Outcome, command: AnyCommand) -> bool:
    identity = digests.command_id(command.wallet_id, command.reference)
    body = digests.body_digest(command)
    ids = (identity.hex(), digests.conflict_id(identity, body).hex())
    return outcome.body_digest == body.hex() and outcome.command_id in ids
