"""From the claim of a large shard to its first decision."""

import statistics
import time
from typing import NamedTuple

from bench.figure import Figure, Measurement, at_most
from bench.large_shard import fill_shard
from bench.load import creation
from bench.session import Bench, Run
from bench.single_commands import SingleCommands
from bench.site import Site


class Sites(NamedTuple):
    """Of one shard each."""

    large: Site
    empty: Site


async def sites(bench: Bench) -> Sites:
    """One with so many entries, and one without any; each has been claimed once."""
    large = await bench.keep_site("large", partitions=1)
    async with large.database() as database:
        await fill_shard(database, bench.sizes.large_shard_entries, bench.say)
    empty = await bench.keep_site("empty", partitions=1)
    for site in (large, empty):
        # the first entry on its events topic is what later claims compare with the log
        await _claim_ms(site, "first")
    return Sites(large, empty)


async def measure(run: Run) -> Measurement:
    """Milliseconds from the claim to the commit of the first decision, medians, in turns."""
    large, empty = await run.bench.prepared(sites)
    large_ms, empty_ms = [], []
    for number in range(run.sizes.claims):
        large_ms.append(await _claim_ms(large, f"{run.number}x{number}"))
        empty_ms.append(await _claim_ms(empty, f"{run.number}x{number}"))
    return Measurement(
        statistics.median(large_ms),
        statistics.median(empty_ms),
        {"large_ms": large_ms, "empty_ms": empty_ms},
    )


async def _claim_ms(site: Site, tag: str) -> float:
    """A new engine finds one command waiting; both clocks are this machine's."""
    async with SingleCommands.of(site.settings) as commands, site.database() as database:
        place = await commands.send(creation(f"wal_claim{tag}"))
        async with site.running("engine"):
            await commands.decided(place)
            decided_at = time.time()
            claimed_at: float = await database.fetchval(
                "SELECT extract(epoch FROM claimed_at)::float8 FROM shards"
            )
    return 1000 * (decided_at - claimed_at)


FIGURE = Figure(
    name="claim",
    title="claim of a shard to first decision, with 10,000,000 entries in it",
    unit="ms",
    ceiling="an empty one",
    ceiling_unit="ms",
    goal=at_most(1.5),
    measure=measure,
    expected_s=120,
)
