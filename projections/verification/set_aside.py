"""Are dead letters and forwards records that are decided, and that led to nothing else?"""

from collections.abc import Sequence

from asyncpg import Connection

from projections.verification.findings import Findings
from projections.verification.frozen import FrozenShard
from projections.verification.queries import QUERIES
from schemas.entries import Entry


class SetAsideCheck:
    """One shard's dead letters and forwards."""

    def __init__(self, findings: Findings, frozen: FrozenShard) -> None:
        self._findings = findings
        self._frozen = frozen
        self._shard = frozen.shard

    async def whole(self, connection: Connection) -> None:
        """What can be said without the log."""
        count = await connection.fetchval(
            QUERIES["count_aside"], self._shard, self._frozen.next_offset
        )
        self._findings.checked("set_aside", count)
        for row in await connection.fetch(QUERIES["undecided_aside"], self._shard):
            self._findings.report(
                "set_aside",
                f"there is a {row['kind']} for a record that is not decided: the shard's "
                f"next_offset is {row['next_offset']}",
                shard=self._shard,
                offset=row["record_offset"],
            )

    async def page(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Is an entry's record also set aside?"""
        offsets = [entry.offset for entry in entries if entry.offset is not None]
        if not offsets:
            return
        rows = await connection.fetch(QUERIES["aside"], self._shard, min(offsets), max(offsets))
        if not rows:
            return
        positions = {entry.offset: entry.position for entry in entries}
        for row in rows:
            offset = row["record_offset"]
            if offset in positions:
                self._findings.report(
                    "set_aside",
                    f"the record has an entry, and there is a {row['kind']} for it as well",
                    shard=self._shard,
                    position=positions[offset],
                    offset=offset,
                )
