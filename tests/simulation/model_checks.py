"""Whether the read models hold what a plain reading of the log gives."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from schemas.instants import to_microseconds
from tests.simulation.replayed import ReplayedShard, Row
from tests.simulation.violation import Violation


def check_models(replayed: Sequence[ReplayedShard], models: Any) -> None:
    """Compare all rows of all four models, once they have caught up."""
    for name in ("wallets", "transactions", "lots", "postings"):
        expected: dict[Any, Row] = {}
        for shard in replayed:
            expected |= getattr(shard, name)
        found = models[name].rows
        if unlike := sorted(found.keys() ^ expected.keys()):
            where = "missing" if unlike[0] in expected else "too much"
            raise Violation(f"model_{name}", f"{unlike[0]} is {where}")
        for key, row in expected.items():
            told = {column: _plain(getattr(found[key], column)) for column in row}
            if told != row:
                raise Violation(f"model_{name}", f"{key} is {told}, not {row}")


def _plain(value: Any) -> Any:
    return to_microseconds(value) if isinstance(value, datetime) else value
