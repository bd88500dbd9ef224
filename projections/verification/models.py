"""Are the read models what a replay of the log gives?"""

from collections.abc import Sequence
from typing import Final

from asyncpg import Connection

from projections.comparison import Difference, ShardComparison, Source
from projections.errors import ReplayFailedError
from projections.models import PROJECTIONS
from projections.verification.findings import Findings
from projections.verification.queries import QUERIES
from schemas.entries import Entry

_GROWING: Final = ("transactions", "postings")


class ModelsCheck:
    """The live read models of one shard, taken before the shard itself.

    Once the log can't be replayed, what is left of the models can't be compared: that fails too.
    """

    def __init__(
        self,
        findings: Findings,
        shard: int,
        sources: Sequence[Source],
        comparison: ShardComparison,
    ) -> None:
        self._findings = findings
        self._shard = shard
        self._names = [source.projection.name for source in sources]
        self._comparison = comparison
        self._position = 0
        self._broken = False

    @classmethod
    async def freeze(
        cls, connection: Connection, findings: Findings, shard: int, sources: Sequence[Source]
    ) -> "ModelsCheck":
        """Takes the checkpoints, and the rows of what changes in place."""
        comparison = await ShardComparison.freeze(connection, shard, sources)
        check = cls(findings, shard, sources, comparison)
        for name in check._names:
            findings.checked(name, comparison.stop)
        await check._check_ends(connection)
        await check._check_zero_sum(connection)
        return check

    async def page(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Takes the entries of the log's next page."""
        taken = [entry for entry in entries if entry.position < self._comparison.stop]
        if not taken or self._broken:
            return
        try:
            self._report(await self._comparison.take_in(connection, taken))
        except ReplayFailedError as error:
            self._findings.report("wallets", str(error), shard=self._shard)
            self._cannot_compare(taken[0].position)
        self._position = taken[-1].position + 1

    def finish(self) -> None:
        """Compares what stands at the end of the log."""
        if not self._broken and self._position < self._comparison.stop:
            self._cannot_compare(self._position)
        if not self._broken:
            self._report(self._comparison.finish())

    def _cannot_compare(self, position: int) -> None:
        self._broken = True
        for name in self._names:
            self._findings.report(
                name,
                f"not compared from position {position} on, where the log is not whole",
                shard=self._shard,
            )

    def _report(self, differences: Sequence[Difference]) -> None:
        for difference in differences:
            row = difference.expected or difference.found
            self._findings.report(
                difference.model,
                str(difference),
                shard=self._shard,
                position=getattr(row, "position", None),
            )

    async def _check_ends(self, connection: Connection) -> None:
        """A model that grows has nothing at or above its checkpoint."""
        for name in set(_GROWING) & set(self._names):
            query = QUERIES["beyond_checkpoint"].replace("{model}", name)
            for row in await connection.fetch(query, self._shard, name):
                self._findings.report(
                    name,
                    "the row should not be there: it is past the model's checkpoint, which is "
                    f"{row['checkpoint']}",
                    shard=self._shard,
                    position=row["position"],
                )

    async def _check_zero_sum(self, connection: Connection) -> None:
        if "postings" not in self._names:
            return
        self._findings.checked("zero_sum", 0)
        for row in await connection.fetch(QUERIES["postings_sums"], self._shard):
            self._findings.checked("zero_sum", row["lines"])
            if row["sum"]:
                self._findings.report(
                    "zero_sum",
                    f"the postings in {row['currency']} sum to {row['sum']} minor units",
                    shard=self._shard,
                )


async def check_catalog(
    connection: Connection,
    findings: Findings,
    sources: Sequence[Source],
    shards: Sequence[int],
) -> None:
    """Is every read model there, and nothing in it of a shard that the log doesn't have?"""
    names = {source.projection.name for source in sources}
    for name in PROJECTIONS:
        if name not in names:
            findings.report(name, f"there is no live read model {name}: run `wallet migrate`")
            continue
        query = QUERIES["foreign_shards"].replace("{model}", name)
        for row in await connection.fetch(query, shards):
            findings.report(
                name, f"it has rows of shard {row['shard']}, and the log no such shard"
            )
