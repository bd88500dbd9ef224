"""Do the columns of an entry, which make it findable, say what the entry itself says?"""

from collections.abc import Sequence

import msgspec
from asyncpg import Record

from projections.verification.findings import Findings
from schemas.entries import Entry, decode_entry
from schemas.events import TAGS


class ColumnCheck:
    """The columns of one shard's rows, page by page."""

    def __init__(self, findings: Findings, shard: int) -> None:
        self._findings = findings
        self._shard = shard

    def page(self, rows: Sequence[Record]) -> tuple[list[Entry], list[str]]:
        """The rows' entries, whatever their columns say, and the wallets of those without one.

        A row that no entry can be read from has none.
        """
        self._findings.checked("columns", len(rows))
        entries, unreadable = [], []
        for row in rows:
            try:
                entry = decode_entry(row["data"])
            except msgspec.DecodeError as error:
                self._report(row["position"], f"the entry can't be read: {error}")
                unreadable.append(row["wallet_id"])
                continue
            if not _agree(row, entry, self._shard):
                differing = _differing(row, entry, self._shard)
                self._report(row["position"], "; ".join(differing))
            entries.append(entry)
        return entries, unreadable

    def _report(self, position: int, message: str) -> None:
        self._findings.report("columns", message, shard=self._shard, position=position)


def _agree(row: Record, entry: Entry, shard: int) -> bool:
    identity, data = row["command_id"], row["data"]
    # a record equals a tuple of the same values, in the order in which they were asked for
    said: object = (
        entry.position,
        entry.wallet_id,
        entry.version,
        identity,
        TAGS[type(entry.event)],
        entry.occurred_at,
        data,
    )
    return entry.shard == shard and entry.command_id == identity.hex() and row == said


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
