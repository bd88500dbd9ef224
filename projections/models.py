"""The read models: the tables of each, and the SQL that fills them from the log.

A model stands in one table per generation (`wallets_1`, `wallets_2`); readers use the view of
the model's name, which shows the live one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.sql import load_queries

_SQL = Path(__file__).with_name("sql")


@dataclass(frozen=True)
class Projection:
    """One read model. `version` grows with every change to what its SQL writes."""

    name: str
    version: int
    queries: dict[str, str]

    def table(self, generation: int) -> str:
        """The table's name."""
        return f"{self.name}_{generation}"

    def create_table(self, generation: int) -> str:
        return self._query("create_table", generation)

    def create_indexes(self, generation: int) -> str:
        """What is quicker after the first fill; empty if there is nothing."""
        return self._query("create_indexes", generation)

    def create_view(self, generation: int) -> str:
        """Shows this generation to readers; the view before it, if any, has the same columns."""
        return self._query("create_view", generation)

    def apply_first(self, generation: int) -> list[str]:
        """Statements that read the log by themselves, and have to be done before `apply`."""
        names = [name for name in self.queries if name.startswith("apply_")]
        return [self._query(name, generation) for name in names]

    def apply(self, generation: int) -> str:
        """Takes in what stands in `entries`, see sql/entries.sql."""
        return self._query("apply", generation)

    def _query(self, name: str, generation: int) -> str:
        # format() would trip over JSON's braces
        return self.queries.get(name, "").replace("{generation}", str(generation))


class Generation(NamedTuple):
    """One table of a read model."""

    projection: Projection
    number: int


def filling(models: Sequence[Generation]) -> list[str]:
    """Statements that take in entries [$2, $3) of shard $1, in this order.

    The entries are read as JSON once for all of the models, in a part of the last statement.
    """
    first = [text for model, number in models for text in model.apply_first(number)]
    parts = [("entries", _ENTRIES)]
    parts += [(f"into_{model.name}", model.apply(number)) for model, number in models]
    read_and_apply = ",\n".join(f"{name} AS (\n{text}\n)" for name, text in parts)
    return [*first, f"WITH {read_and_apply}\nSELECT"]


_ENTRIES = load_queries(_SQL / "entries.sql")["entries"]


def _load(name: str, version: int) -> Projection:
    return Projection(name, version, load_queries(_SQL / f"{name}.sql"))


PROJECTIONS: dict[str, Projection] = {
    projection.name: projection
    for projection in (
        _load("wallets", version=1),
        _load("transactions", version=1),
        _load("lots", version=1),
        _load("postings", version=1),
    )
}
