"""The metrics of an engine: how far its shards are, and what became of the commands.

Labels are bounded: shards, and codes, types and stages that the contract and the code name. Counting
is once a batch.
"""

import collections
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from engine.log import Append, ShardRow
from engine.observation import Stage
from engine.telemetry.shard_gauges import Progress, ShardGauges
from schemas.dead_letters import DeadLetterReason
from schemas.events import TAGS, CommandRejected, Expired, WrittenOff
from schemas.rejections import RejectionCode

Refusal = Literal["clock", "data", "repeat"]

_ACCEPTED: Final = frozenset(TAGS.values()) - {
    TAGS[kind] for kind in (CommandRejected, Expired, WrittenOff)
}
"""The types of entries that are outcomes of commands that were accepted."""

_STAGE_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_COMMANDS_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000, 4_000, 10_000)


class EngineMetrics:
    """Counts for one engine, into `registry`."""

    def __init__(self, registry: CollectorRegistry, partitions: int) -> None:
        self.shards = ShardGauges(partitions)
        registry.register(self.shards)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        self._claims = counter("wallet_claims", "Shards claimed.")
        self._fences_lost = counter(
            "wallet_fences_lost", "Leases that another worker's claim has ended."
        )
        self._refused = counter(
            "wallet_appends_refused",
            "Batches of which nothing was written, and which are decided again.",
            "reason",
        )
        self._outcomes = counter(
            "wallet_outcomes",
            "Commands decided, and records set aside or sent home; the code says how or why.",
            *("outcome", "code"),
        )
        self._entries = counter("wallet_entries", "Entries appended to the log.", "type")
        self._published = counter("wallet_published_entries", "Entries put on the events topic.")
        self._publish_failures = counter(
            "wallet_publish_failures", "Times that the events topic did not take what was sent."
        )
        self._batch = Histogram(
            "wallet_batch_commands",
            "Records decided in one transaction.",
            buckets=_COMMANDS_BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "wallet_stage_seconds",
            "How long a stage of a batch took.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A counter that is first seen at one has not risen, as far as Prometheus can tell."""
        for stage in get_args(Stage):
            self._stages.labels(stage)
        for refusal in get_args(Refusal):
            self._refused.labels(refusal)
        for tag in TAGS.values():
            self._entries.labels(tag)
        codes = {
            "accepted": _ACCEPTED,
            "rejected": get_args(RejectionCode),
            "dead_letter": get_args(DeadLetterReason),
            "forwarded": ("misrouted",),
        }
        for outcome, known in codes.items():
            for code in known:
                self._outcomes.labels(outcome, code)

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage, if it ends without an error."""
        start = time.perf_counter()
        yield
        self._stages.labels(name).observe(time.perf_counter() - start)

    def claimed(self, row: ShardRow) -> None:
        self._claims.inc()
        self.shards.progress[row.shard] = Progress(row.next_offset, row.position, row.published)
        self.shards.halted.pop(row.shard, None)
        self.shards.held.add(row.shard)

    def released(self, shard: int) -> None:
        self.shards.held.discard(shard)

    def halted(self, shard: int, code: str) -> None:
        self.shards.halted[shard] = code

    def fence_lost(self) -> None:
        self._fences_lost.inc()

    def append_refused(self, reason: Refusal) -> None:
        self._refused.labels(reason).inc()

    def appended(self, shard: int, append: Append) -> None:
        """Count what is in the log now."""
        progress = self.shards.progress[shard]
        progress.next_offset, progress.position = append.to_offset, append.to_position
        if append.to_offset > append.from_offset:
            self._batch.observe(append.to_offset - append.from_offset)
        self._count_entries(append)
        for reason, letters in collections.Counter(
            letter.reason for letter in append.dead_letters
        ).items():
            self._outcomes.labels("dead_letter", reason).inc(letters)
        if append.forwards:
            self._outcomes.labels("forwarded", "misrouted").inc(len(append.forwards))

    def _count_entries(self, append: Append) -> None:
        for tag, entries in collections.Counter(append.types).items():
            self._entries.labels(tag).inc(entries)
            if tag in _ACCEPTED:
                self._outcomes.labels("accepted", tag).inc(entries)
        for code, commands in collections.Counter(append.rejections).items():
            self._outcomes.labels("rejected", code).inc(commands)

    def published(self, shard: int, entries: int, position: int) -> None:
        """So many more entries, and with them all below `position`, are on the events topic."""
        self._published.inc(entries)
        if progress := self.shards.progress.get(shard):
            progress.published = max(progress.published, position)

    def publish_failed(self) -> None:
        self._publish_failures.inc()
