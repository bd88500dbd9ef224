"""How many entries a second `wallet verify` proves."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE

from bench.errors import BenchError
from bench.figure import Figure, Measurement, at_least
from bench.filled_log import filled_log
from bench.session import Run
from bench.site import Site
from engine.replay import shard_sizes


async def measure(run: Run) -> Measurement:
    """The whole command, with one process for each core, beside as many that only read."""
    site = await run.bench.prepared(filled_log)
    async with site.database() as connection:
        sizes = await shard_sizes(connection)
    entries, processes = sum(sizes.values()), os.cpu_count() or 1
    run.say(f"verifying {entries:,} entries")
    verify_s = await _verify_s(site)
    read_per_s = {
        count: await _read_per_s(site, list(sizes), count) for count in sorted({1, processes})
    }
    return Measurement(
        entries / verify_s,
        max(read_per_s.values()),
        {"entries": entries, "verify_s": verify_s, "read_per_s_by_processes": read_per_s},
    )


async def _verify_s(site: Site) -> float:
    """Seconds from the start of the process to its end; raises BenchError unless all holds."""
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "verify", "--no-kafka"),
        env={**os.environ, **site.environment},
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"wallet verify found this:\n{out.decode()}")
    return time.perf_counter() - start


async def _read_per_s(site: Site, shards: list[int], processes: int) -> float:
    """Entries a second that so many processes read and decode, each some of the shards."""
    parts = [part for number in range(processes) if (part := shards[number::processes])]
    found = await asyncio.gather(*(_read(site, part) for part in parts))
    return sum(each["entries"] for each in found) / max(each["seconds"] for each in found)


async def _read(site: Site, shards: list[int]) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.read_log", site.settings.database_url),
        *map(str, shards),
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise BenchError(f"bench.read_log ended with status {process.returncode}")
    result: dict[str, float] = json.loads(out)
    return result


FIGURE = Figure(
    name="verify",
    title="wallet verify, read models included",
    unit="events/s",
    ceiling="read by asyncpg and decoded, alone",
    ceiling_unit="events/s",
    goal=at_least(0.5),
    measure=measure,
    expected_s=60,
)
