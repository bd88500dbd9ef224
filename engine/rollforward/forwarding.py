"""Appends to a shard what was published after the point that it was restored to."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg

from engine.log import ShardLog, ShardRow
from engine.merkle import Frontier, leaf_hashes
from engine.rollforward.entry_rules import EntryRules
from engine.rollforward.errors import EntryRefusedError, LogDamagedError, ShardMovedError
from engine.rollforward.examination import OnProgress, ShardPlan
from engine.rollforward.history import History
from engine.rollforward.restored_log import QUERIES, hash_log
from engine.rollforward.succession import Published, Succession
from engine.rollforward.suffix import MARK_BYTES
from engine.rollforward.topic_reader import TopicReader
from engine.settings import Settings
from schemas.entries import SCHEMA_VERSION, Entry
from schemas.events import TAGS, Credited

OWNER: Final = "wallet roll-forward"
"""Stands as the shard's owner until an engine claims it."""


class Forwarding:
    """Rolls one shard forward, by the plan that examining it came to."""

    def __init__(
        self,
        settings: Settings,
        connection: asyncpg.Connection,
        log: ShardLog,
        plan: ShardPlan,
        on_progress: OnProgress,
    ) -> None:
        self._topic = settings.events_topic
        self._connection = connection
        self._log = log
        self._plan = plan
        self._told = partial(on_progress, f"rolling shard {plan.shard} forward")
        self._frontier: Frontier = plan.row.frontier
        self._lease = plan.row.lease
        self._history = History(
            log,
            wallets_max=settings.cached_wallets_max,
            snapshot_every=settings.snapshot_every_versions,
        )

    async def run(self, reader: TopicReader) -> None:
        """Claim the shard, which fences every engine from before, and append.

        Each page is whole commands in one transaction, so being stopped half-way leaves a log that
        can be rolled forward again. Raises RollForwardError, LeaseLostError.
        """
        await self._claim()
        plan, row = self._plan, self._plan.row
        succession = Succession(self._topic, plan.shard, row.position)
        rules = EntryRules(
            self._topic, plan.shard, next_offset=row.next_offset, last_at=row.last_at
        )
        waiting: list[tuple[Published, Entry]] = []
        async for records in reader.pages(self._topic, plan.shard, plan.start, plan.stop):
            following = succession.take(records).following
            waiting += [(published, rules.read(published)) for published in following]
            if rules.inside_command is None and waiting:
                await self._append(waiting)
                waiting = []
        await self._check()

    async def _claim(self) -> None:
        row = await self._log.claim(OWNER)
        if _place(row) != _place(self._plan.row):
            raise ShardMovedError(
                f"Shard {row.shard} has moved to position {row.position} since it was examined: an"
                " engine works on this database. Stop all engines, and run this again."
            )
        self._lease = row.lease

    async def _append(self, page: Sequence[tuple[Published, Entry]]) -> None:
        start = self._frontier.size
        entries = [entry for _, entry in page]
        data = [published.data for published, _ in page]
        hashes = leaf_hashes(data)
        self._compare_with_plan(start, hashes)
        snapshots = await self._history.follow(entries, hashes)
        self._frontier.extend(hashes)
        due = {
            (entry.event.expires_at, entry.wallet_id)
            for entry in entries
            if isinstance(entry.event, Credited) and entry.event.expires_at and entry.event.lot
        }
        try:
            written = await self._connection.fetchval(
                QUERIES["bring_forward"],
                self._plan.shard,
                self._lease,
                start,
                self._frontier.size,
                self._frontier.to_bytes(),
                entries[-1].occurred_at,
                SCHEMA_VERSION,
                [entry.wallet_id for entry in entries],
                [entry.version for entry in entries],
                [bytes.fromhex(entry.command_id) for entry in entries],
                [TAGS[type(entry.event)] for entry in entries],
                [entry.occurred_at for entry in entries],
                data,
                [at for at, _ in due],
                [wallet_id for _, wallet_id in due],
            )
        except asyncpg.UniqueViolationError as error:
            raise EntryRefusedError(
                f"An entry of shard {self._plan.shard} from position {start} on stands in the log"
                f" already under another position ({error.detail}): the events topic is not the"
                " one of this database."
            ) from error
        if not written:
            raise ShardMovedError(
                f"Shard {self._plan.shard} was claimed by an engine while it was rolled forward;"
                f" it has {start} entries by now. Stop all engines, and run this again."
            )
        if snapshots:
            await self._log.save_snapshots(snapshots)
        self._told(self._frontier.size - self._plan.row.position, self._plan.entries)

    def _compare_with_plan(self, start: int, hashes: Sequence[bytes]) -> None:
        place = (start - self._plan.row.position) * MARK_BYTES
        marks = b"".join(leaf[:MARK_BYTES] for leaf in hashes)
        if self._plan.marks[place : place + len(marks)] != marks:
            raise ShardMovedError(
                f"{self._topic}, partition {self._plan.shard} has other entries from position"
                f" {start} on than when it was examined: somebody changes the topic. Find out who,"
                " and run this again."
            )

    async def _check(self) -> None:
        """Hash what now stands in the log, from where the restored one ended."""
        plan, row = self._plan, self._plan.row
        read_back = await hash_log(
            self._connection, plan.shard, row.frontier, plan.position, lambda _: None
        )
        stored = await self._connection.fetchrow(QUERIES["shard_tree"], plan.shard)
        roots = {plan.root, self._frontier.root(), read_back.root()}
        if stored is not None and (len(roots), stored["position"]) == (1, plan.position):
            tree = Frontier.from_bytes(stored["position"], stored["tree"])
            if tree.root() in roots:
                return
        raise LogDamagedError(
            f"Shard {plan.shard} does not come to the Merkle root that was expected after rolling"
            " it forward: start no engine, and run `wallet verify`."
        )


def _place(row: ShardRow) -> tuple[int, int, bytes]:
    return row.next_offset, row.position, row.tree
