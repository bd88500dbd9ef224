"""Do the columns of an entry, which make it findable, say what the entry itself says?"""

import msgspec
from asyncpg import Record

from projections.verification.findings import Findings
from schemas.entries import Entry, decode_entry
from schemas.events import TAGS


class ColumnCheck:
    """The columns of one shard's rows; `first` and `last` are where its log really ends."""

    def __init__(self, findings: Findings, shard: int) -> None:
        self._findings = findings
        self._shard = shard

    def entry(self, row: Record) -> Entry | None:
        """The row's entry, whatever its columns say; None if it can't be read."""
        self._findings.checked("columns")
        position = row["position"]
        try:
            entry = decode_entry(row["data"])
        except msgspec.DecodeError as error:
            self._report(position, f"the entry can't be read: {error}")
            return None
        if differing := _differing(row, entry, self._shard):
            self._report(position, "; ".join(differing))
        return entry

    def _report(self, position: int, message: str) -> None:
        self._findings.report("columns", message, shard=self._shard, position=position)


def _differing(row: Record, entry: Entry, shard: int) -> list[str]:
    pairs = (
        ("shard", shard, entry.shard),
        ("position", row["position"], entry.position),
        ("wallet_id", row["wallet_id"], entry.wallet_id),
        ("version", row["version"], entry.version),
        ("command_id", row["command_id"].hex(), entry.command_id),
        ("type", row["type"], TAGS[type(entry.event)]),
        ("occurred_at", row["occurred_at"], entry.occurred_at),
    )
    return [
        f"column {name} is {column}, the entry says {said}"
        for name, column, said in pairs
        if column != said
    ]
