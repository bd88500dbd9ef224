"""Are the read models what a replay of the log gives?"""

from collections.abc import Sequence
from typing import Final

from asyncpg import Connection
from msgspec import Struct

from engine.decider import evolve
from projections.comparison import Comparing, Difference, ShardComparison, Source
from projections.errors import ReplayFailedError
from projections.expected import Evolve
from projections.models import PROJECTIONS
from projections.spool import Spool
from projections.verification.findings import Findings
from projections.verification.queries import QUERIES
from schemas.entries import Entry

_GROWING: Final = ("transactions", "postings")


class ModelsAt(Struct, kw_only=True):
    """Where the comparison of a shard's models stands."""

    comparing: Comparing
    names: list[str]
    position: int = 0
    broken: bool = False


class ModelsCheck:
    """The live read models of one shard, taken before the shard itself.

    Once the log can't be replayed, what is left of the models can't be compared: that fails too.
    `at` is what to go on from, with the same spool.
    """

    def __init__(
        self,
        findings: Findings,
        shard: int,
        spool: Spool,
        at: ModelsAt,
        evolved: Evolve = evolve,
    ) -> None:
        self.at = at
        self._findings = findings
        self._shard = shard
        self._comparison = ShardComparison(shard, spool, at.comparing, evolved)

    @classmethod
    async def freeze(
        cls,
        connection: Connection,
        findings: Findings,
        shard: int,
        sources: Sequence[Source],
        spool: Spool,
    ) -> "ModelsCheck":
        """Takes the checkpoints, and the rows of what changes in place."""
        comparison = await ShardComparison.freeze(connection, shard, sources, spool)
        names = [source.projection.name for source in sources]
        at = ModelsAt(comparing=comparison.at, names=names)
        check = cls(findings, shard, spool, at)
        for name in names:
            findings.checked(name, comparison.stop)
        await check._check_ends(connection)
        await check._check_zero_sum(connection)
        return check

    async def page(self, connection: Connection, entries: Sequence[Entry]) -> None:
        """Takes the entries of the log's next page."""
        taken = [entry for entry in entries if entry.position < self._comparison.stop]
        if not taken or self.at.broken:
            return
        try:
            self._report(await self._comparison.take_in(connection, taken))
        except ReplayFailedError as error:
            self._findings.report("wallets", str(error), shard=self._shard)
            self._cannot_compare(taken[0].position)
        self.at.position = taken[-1].position + 1

    def finish(self) -> None:
        """Compares what stands at the end of the log."""
        if not self.at.broken and self.at.position < self._comparison.stop:
            self._cannot_compare(self.at.position)
        if not self.at.broken:
            self._report(self._comparison.finish())

    def _cannot_compare(self, position: int) -> None:
        self.at.broken = True
        for name in self.at.names:
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
        for name in set(_GROWING) & set(self.at.names):
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
        if "postings" not in self.at.names:
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
