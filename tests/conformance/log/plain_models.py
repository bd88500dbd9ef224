"""The read models as plain functions of the log, in rows that compare."""

from typing import Any

from msgspec.structs import astuple

from projections.expected import comparable_metadata
from tests.conformance.log.databases import Row
from tests.simulation.database.models import (
    LotRow,
    Model,
    Models,
    PostingRow,
    TransactionRow,
    WalletRow,
)
from tests.simulation.database.rows import StoredRow
from tests.support.history import HistoryBuilder

COLUMNS = {
    "wallets": WalletRow.__struct_fields__,
    "transactions": TransactionRow.__struct_fields__,
    "lots": LotRow.__struct_fields__,
    "postings": PostingRow.__struct_fields__,
}


def plain_rows(model: Model, name: str, shard: int) -> list[Row]:
    """The rows of a shard in a plainly filled model, as `LogDatabase.model` gives them."""
    columns = COLUMNS[name]
    rows: list[Any] = [row for row in model.rows.values() if row.shard == shard]
    return sorted((comparable_row(columns, astuple(row)) for row in rows), key=repr)


def comparable_row(columns: tuple[str, ...], row: Row) -> Row:
    """A row whose metadata compares as JSON does."""
    values = zip(columns, row, strict=True)
    return tuple(
        sorted(comparable_metadata(value).items()) if column == "metadata" else value
        for column, value in values
    )


def plainly(history: HistoryBuilder, name: str, count: int | None = None) -> list[Row]:
    """The model after the first `count` entries of a history (all), entry by entry."""
    model = Models()[name]
    for row in map(StoredRow.of, history.entries[:count]):
        for statement, apply in model.statements.items():
            model.check(statement, [row])
            apply([row])
    return plain_rows(model, name, history.shard)
