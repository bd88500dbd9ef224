"""Whether workers take shards from each other without end."""

from typing import Any, Final

from tests.simulation.violation import Violation

TAKEN_OVER_MAX: Final = 3
"""While the group does not change: by its new owner, by one whose claim comes late, and back."""


class Claims:
    """Follows who claims one shard."""

    def __init__(self, shard: int, database: Any, broker: Any) -> None:
        self._shard = shard
        self._database = database
        self._broker = broker
        self._epoch = 0
        self._owner: str | None = None
        self._generation = -1
        self._taken_over: list[str] = []

    def committed(self) -> None:
        """Look whether the last commit was a claim."""
        row = self._database.shards[self._shard]
        if row.epoch == self._epoch:
            return
        self._epoch = row.epoch
        generation = self._broker.group("wallet-engine", "wallet.commands").generation
        if generation != self._generation:
            self._generation, self._taken_over = generation, []
        if row.owner != self._owner:
            self._owner = row.owner
            self._taken_over.append(row.owner)
        if len(self._taken_over) > TAKEN_OVER_MAX:
            raise Violation(
                "taken_back_and_forth",
                f"shard {self._shard} was claimed by {', '.join(self._taken_over)}, and nobody"
                " joined or left the group meanwhile",
            )
