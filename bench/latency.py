"""Measure how long commands take from being sent to being committed, at parts of the top rate.

The top rate is what one engine makes of a topic that was filled beforehand, in the same run. Then
commands are sent open-loop at 25, 50 and 75 % of it, and each counts from the time that it should
have been sent at. The sender needs its part of the machine, too.

python -m bench.latency [--seconds N] [--scale S] [--json FILE]
"""

import argparse
import itertools
import sys
from typing import Any

from bench.load import debits, wallet_ids
from bench.report import run_report
from bench.scheduled_commands import Schedule
from bench.session import Bench
from bench.site import Site
from engine.notifier import CHANNEL

SHARES = (0.25, 0.5, 0.75)
PERCENTILES = {"p50_ms": 50, "p99_ms": 99, "p99.9_ms": 99.9}
_WARM_UP_S = 2


async def measure(site: Site, wallets: list[str], rate: float, seconds: float) -> dict[str, Any]:
    """Latencies in milliseconds of commands at this rate; engines are running already."""
    tag = f"at{rate:.0f}"
    await _send(site, wallets, f"{tag}warm", rate, _WARM_UP_S)
    schedule = await _send(site, wallets, tag, rate, seconds)
    latencies = schedule.latencies
    return {
        "rate": rate,
        "commands": latencies.count,
        **{name: latencies.ms(percentile) for name, percentile in PERCENTILES.items()},
        "max_ms": latencies.max_ms,
        "sent_late_ms_max": 1000 * schedule.sent_late_s_max,
    }


async def _send(site: Site, wallets: list[str], tag: str, rate: float, seconds: float) -> Schedule:
    async with site.database() as database:
        rows = await database.fetch("SELECT next_offset FROM shards ORDER BY shard")
        commands = debits(wallets, max(len(wallets), int(rate * seconds)), tag)
        schedule = Schedule(commands, rate, [row["next_offset"] for row in rows])
        await database.add_listener(CHANNEL, schedule.hear)
        await schedule.send(site.settings)
        await database.remove_listener(CHANNEL, schedule.hear)
    site.sent += sum(len(each.commands) for each in schedule.partitions)
    return schedule


async def main(bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints a line for each rate."""
    wallets = wallet_ids(bench.sizes.wallets)
    async with bench.site("latency") as site:
        await site.open_wallets(wallets)
        await site.fill(debits(wallets, bench.sizes.commands, "top"))
        top = (await site.drain()).commands_per_s
        print(f"\ntop rate: {top:,.0f} commands/s\n")
        print(
            f"{'sent, commands/s':>24}{'p50 ms':>10}{'p99 ms':>10}{'p99.9 ms':>10}{'max ms':>10}"
        )
        results: list[dict[str, Any]] = [{"top_commands_per_s": top}]
        async with site.running("engine"):
            for share in SHARES:
                measured = await measure(site, wallets, share * top, options.seconds)
                results.append({"share": share, **measured})
                figures = itertools.chain(PERCENTILES, ["max_ms"])
                print(
                    f"{f'{share:.0%}: {share * top:,.0f}':>24}"
                    + "".join(f"{measured[name]:>10,.1f}" for name in figures),
                    flush=True,
                )
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="at each rate")
    sys.exit(run_report(main, parser))
