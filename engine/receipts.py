"""Receipts: what became of the record at a partition and offset.

    receipt = Receipt(command, partition=3, offset=1042)  # as the producer was told
    outcome = await resolve(connection, receipt)          # None: not decided yet

A record is decided once its shard's `next_offset` is past it, and then has exactly one outcome.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asyncpg import Connection, Record
from msgspec import Struct

from engine.errors import EngineError
from engine.sql import load_queries
from schemas import digests
from schemas.commands import AnyCommand
from schemas.dead_letters import DeadLetterReason
from schemas.entries import Entry, decode_entry
from schemas.events import CommandRejected

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


class OutcomeMissingError(EngineError):
    """A record is decided, but nothing says how: an alert, for the log has been tampered with."""

    code = "outcome_missing"


class Receipt(NamedTuple):
    """Where a record stands. `command` is None if none can be read from it."""

    command: AnyCommand | None
    partition: int
    offset: int

    @property
    def place(self) -> tuple[int, int]:
        """(partition, offset), which names the record."""
        return self.partition, self.offset


class Accepted(Struct, frozen=True):
    """`entry` is the command's outcome entry. `duplicate`: it was made by another record."""

    entry: Entry
    duplicate: bool


class Rejected(Struct, frozen=True):
    """`rejection` is the event of `entry`, the command's outcome."""

    entry: Entry
    rejection: CommandRejected
    duplicate: bool


class DeadLettered(Struct, frozen=True):
    """Set aside at (shard, offset), which may be in the home partition of a forwarded record."""

    shard: int
    offset: int
    reason: DeadLetterReason
    detail: str


Outcome = Accepted | Rejected | DeadLettered

_Place = tuple[int, int]


class _Digests(NamedTuple):
    command: bytes
    body: str
    conflict: bytes


async def resolve(connection: Connection, receipt: Receipt) -> Outcome | None:
    """The outcome of one record, or None while it is undecided."""
    (outcome,) = await resolve_many(connection, [receipt])
    return outcome


async def resolve_many(
    connection: Connection, receipts: Sequence[Receipt]
) -> list[Outcome | None]:
    """The outcomes of many records, in their order; None for those that are undecided.

    One query, two more if some left no entry, and as many again if some were forwarded. Raises
    OutcomeMissingError if a decided record has no outcome.
    """
    outcomes, without = await _recorded(connection, receipts)
    if without:
        outcomes |= await _unrecorded(connection, without)
    return [outcomes.get(receipt.place) for receipt in receipts]


def outcome_of(receipt: Receipt, entry: bytes) -> Outcome:
    """The outcome of a record, given the entry that was made of it. Raises msgspec.MsgspecError."""
    decoded = decode_entry(entry)
    return _outcome(decoded, duplicate=decoded.offset != receipt.offset)


async def _recorded(
    connection: Connection, receipts: Sequence[Receipt]
) -> tuple[dict[_Place, Outcome | None], list[Receipt]]:
    """The outcomes that are entries, and those of the receipts that are decided without one."""
    named = [None if r.command is None else _digests(r.command) for r in receipts]
    rows = await connection.fetch(
        _QUERIES["outcomes"],
        [receipt.partition for receipt in receipts],
        [receipt.offset for receipt in receipts],
        [ids and ids.command for ids in named],
        [ids and ids.conflict for ids in named],
    )
    found: dict[_Place, Outcome | None] = {}
    without = []
    for row in rows:
        receipt, ids = receipts[row["place"] - 1], named[row["place"] - 1]
        entry = None if ids is None else _outcome_entry(ids, row)
        if entry is None:
            without.append(receipt)
        else:
            found[receipt.place] = _outcome(entry, duplicate=entry.offset != receipt.offset)
    return found, without


def _outcome_entry(ids: _Digests, row: Record) -> Entry | None:
    if row["outcome"] is not None:
        entry = decode_entry(row["outcome"])
        if entry.body_digest == ids.body:
            return entry
    return None if row["conflict"] is None else decode_entry(row["conflict"])


def _digests(command: AnyCommand) -> _Digests:
    command_id = digests.command_id(command.wallet_id, command.reference)
    body = digests.body_digest(command)
    return _Digests(command_id, body.hex(), digests.conflict_id(command_id, body))


def _outcome(entry: Entry, *, duplicate: bool) -> Outcome:
    if isinstance(entry.event, CommandRejected):
        return Rejected(entry, entry.event, duplicate)
    return Accepted(entry, duplicate)


async def _unrecorded(
    connection: Connection, receipts: Sequence[Receipt]
) -> dict[_Place, Outcome | None]:
    dead = await _at(connection, "dead_letters_at", receipts)
    forwards = await _at(connection, "forwards_at", receipts)
    found: dict[_Place, Outcome | None] = {}
    onward: dict[_Place, Receipt] = {}
    for receipt in receipts:
        place = receipt.place
        if (letter := dead.get(place)) is not None:
            found[place] = DeadLettered(*place, letter["reason"], letter["detail"])
        elif (forward := forwards.get(place)) is not None:
            onward[place] = Receipt(receipt.command, forward["home"], forward["home_offset"])
        else:
            raise _missing(receipt)
    outcomes = await resolve_many(connection, list(onward.values())) if onward else []
    return found | dict(zip(onward, outcomes, strict=True))


async def _at(
    connection: Connection, query: str, receipts: Sequence[Receipt]
) -> dict[_Place, Record]:
    rows = await connection.fetch(
        _QUERIES[query],
        [receipt.partition for receipt in receipts],
        [receipt.offset for receipt in receipts],
    )
    return {(row["shard"], row["record_offset"]): row for row in rows}


def _missing(receipt: Receipt) -> OutcomeMissingError:
    named = (
        "no command can be read from it"
        if receipt.command is None
        else f"wallet {receipt.command.wallet_id}, reference {receipt.command.reference!r}"
    )
    return OutcomeMissingError(
        f"the record at partition {receipt.partition}, offset {receipt.offset} ({named}) is"
        " decided, but has no outcome: was it sent to this database's topic? If so, run"
        " `wallet verify`, for the log may have been changed"
    )
