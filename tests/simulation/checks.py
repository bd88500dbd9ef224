"""Everything that is checked in a run: after each commit, at each record, and at the end."""

from typing import Any, Final

from schemas.instants import to_microseconds
from tests.simulation.claim_checks import Claims
from tests.simulation.kept_checks import check_snapshots, check_tiles
from tests.simulation.model_checks import check_models
from tests.simulation.plan import Plan
from tests.simulation.publication_checks import EventConsumer, LetterConsumer
from tests.simulation.shard_checks import ShardChecks
from tests.simulation.violation import Violation

MODELS: Final = ("wallets", "transactions", "lots", "postings")


class Checks:
    """Watches a database and a broker. Whatever is wrong is raised as a Violation at once.

    What is `unasked` is let pass, to see what harm comes of it.
    """

    def __init__(
        self, plan: Plan, database: Any, broker: Any, *, unasked: frozenset[str] = frozenset()
    ) -> None:
        self._database = database
        self._broker = broker
        partitions = range(plan.partitions)
        self.shards = [
            ShardChecks(
                shard,
                partitions=plan.partitions,
                lots_max=plan.lots_max,
                unstorable=plan.refused,
                database=database,
                broker=broker,
                unasked=unasked,
            )
            for shard in partitions
        ]
        self.claims = [Claims(shard, database, broker) for shard in partitions]
        self.events = [EventConsumer(shard, database) for shard in partitions]
        self.letters = [LetterConsumer(shard, database) for shard in partitions]
        database.commit_listeners.append(self._committed)
        broker.record_listeners.append(self._landed)

    def _committed(self, shard: int) -> None:
        self.shards[shard].committed()
        self.events[shard].check_checkpoint()
        self.claims[shard].committed()

    def _landed(self, topic: str, partition: int, record: Any) -> None:
        if topic == "wallet.events":
            self.events[partition].receive(record)
        elif topic == "wallet.dead-letters":
            self.letters[partition].receive(record)

    def drained(self) -> str | None:
        """What is still missing, for a person; None once all is done."""
        missing: list[str] = []
        now = self._database.clock()
        for shard, checks in enumerate(self.shards):
            row = self._database.shards[shard]
            sent = self._broker.topics["wallet.commands"][shard].records
            if sent and row.next_offset <= sent[-1].offset:
                missing.append(f"shard {shard} is at {row.next_offset} of {sent[-1].offset + 1}")
            missing += [
                f"{wallet} holds what has run out"
                for wallet in checks.oracle.due(to_microseconds(now))
            ]
            if self.events[shard].taken < row.position:
                taken = self.events[shard].taken
                missing.append(f"shard {shard} has published {taken} of {row.position}")
            if row.published < row.position:
                missing.append(f"shard {shard} knows of {row.published} published")
            self.letters[shard].missing(missing.append)
            missing += self._behind(shard, row.position)
            missing += [
                f"{wallet_id} is still due since {at}"
                for at, wallet_id in self._database.tables[shard].due
                if at <= now
            ]
        return "; ".join(missing) or None

    def _behind(self, shard: int, position: int) -> list[str]:
        checkpoints = {
            name: checkpoint.position
            for (name, _, of), checkpoint in self._database.checkpoints.items()
            if of == shard
        }
        return [
            f"{name} has {checkpoints.get(name, 0)} of {position} of shard {shard}"
            for name in MODELS
            if checkpoints.get(name, 0) != position
        ]

    def final(self) -> None:
        """What can only be looked at once all is drained."""
        for shard, checks in enumerate(self.shards):
            tables = self._database.tables[shard]
            if checks.entries != len(tables.log):
                raise Violation("positions", f"shard {shard} has {len(tables.log)} entries")
            for offset in (*tables.dead_letters, *tables.forwards):
                if offset >= checks.next_offset:
                    raise Violation("unasked_row", f"{shard}:{offset} has a row, undecided")
            check_tiles(shard, tables)
            check_snapshots(shard, tables)
        check_models([checks.replayed for checks in self.shards], self._database.models)
