"""Gauges of the shards that are assigned to this process, made when somebody asks for them."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

NOT_HALTED = "none"


@dataclass
class Progress:
    """How far a shard is, as this process knows."""

    next_offset: int
    position: int
    published: int
    end_offset: int | None = None


class ShardGauges(Collector):
    """What is told of each shard, and only while it is assigned here.

    All that is kept here is read by another thread.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.assigned: frozenset[int] = frozenset()
        self.progress: dict[int, Progress] = {}
        self.held: set[int] = set()
        self.halted: dict[int, str] = {}

    def forget_ends(self) -> None:
        """Nobody knows where the topic ends."""
        for progress in list(self.progress.values()):
            progress.end_offset = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they are now."""
        shards = sorted(self.assigned)
        yield GaugeMetricFamily("wallet_shards", "How many shards there are.", self._partitions)
        yield _gauge(
            "wallet_shard_held",
            "1: this process holds the shard's lease.",
            {shard: int(shard in self.held) for shard in shards},
        )
        halted = GaugeMetricFamily(
            "wallet_shard_halted",
            "1: the shard has stopped, and a person has to act; the code says why.",
            labels=["shard", "code"],
        )
        for shard in shards:
            code = self.halted.get(shard)
            halted.add_metric([str(shard), code or NOT_HALTED], int(code is not None))
        yield halted
        known = {shard: self.progress[shard] for shard in shards if shard in self.progress}
        yield _gauge(
            "wallet_shard_next_offset",
            "Records of the commands topic before this offset are decided.",
            {shard: progress.next_offset for shard, progress in known.items()},
        )
        yield _gauge(
            "wallet_shard_position",
            "Entries in the shard's log.",
            {shard: progress.position for shard, progress in known.items()},
        )
        yield _gauge(
            "wallet_shard_unpublished_entries",
            "Entries of the log that are not on the events topic.",
            {
                shard: max(0, progress.position - progress.published)
                for shard, progress in known.items()
            },
        )
        yield _gauge(
            "wallet_shard_lag_records",
            "Records of the commands topic that are not decided.",
            {
                shard: max(0, end_offset - progress.next_offset)
                for shard, progress in known.items()
                if (end_offset := progress.end_offset) is not None
            },
        )


def _gauge(name: str, text: str, values: dict[int, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["shard"])
    for shard, value in values.items():
        family.add_metric([str(shard)], value)
    return family
