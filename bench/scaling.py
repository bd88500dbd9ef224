"""Measure what more engine processes and more shards cost or bring.

The uniform load, worked off by 1, 2 and 4 engines in one group, over 4 and 16 shards. On a machine
with two cores, which one engine, PostgreSQL and Kafka fill by themselves, this shows what more
processes cost, not what they bring.

python -m bench.scaling [--runs N] [--scale S] [--json FILE]
"""

import argparse
import statistics
import sys
from typing import Any

from bench.load import debits, wallet_ids
from bench.report import run_report
from bench.session import Bench, Run

ENGINES = (1, 2, 4)
PARTITIONS = (4, 16)
WARM_UP = 0.25
"""Of the commands come before the clock starts: engines join one by one, and share anew."""


async def measure(run: Run, engines: int, partitions: int) -> float:
    """Commands/s once all engines are at work."""
    wallets = wallet_ids(run.sizes.wallets)
    commands = run.sizes.commands
    async with run.site(f"scaling-{partitions}-{engines}", partitions=partitions) as site:
        await site.open_wallets(wallets)
        await site.fill(debits(wallets, commands, "scaling"))
        drained = await site.drain(engines=engines, warm_up=int(WARM_UP * commands))
    return drained.commands_per_s


async def main(bench: Bench, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints a line for each number of engines and shards."""
    settings = [(engines, partitions) for partitions in PARTITIONS for engines in ENGINES]
    rates: dict[tuple[int, int], list[float]] = {setting: [] for setting in settings}
    for number in range(options.runs):
        run = Run(bench, number)
        for engines, partitions in settings:
            rate = await measure(run, engines, partitions)
            rates[engines, partitions].append(rate)
            bench.say(f"{engines} engines, {partitions} shards: {rate:,.0f} commands/s")
    one = statistics.median(rates[1, PARTITIONS[0]])
    print(f"\n{'shards':>8}{'engines':>9}{'commands/s':>12}{'of the first':>14}")
    results = []
    for (engines, partitions), measured in rates.items():
        median = statistics.median(measured)
        print(f"{partitions:>8}{engines:>9}{median:>12,.0f}{median / one:>14.2f}")
        results.append({"shards": partitions, "engines": engines, "commands_per_s": measured})
    print(
        "\nOn two cores this shows what more processes cost, not what they bring: one engine,"
        "\nPostgreSQL and Kafka fill them already."
    )
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    sys.exit(run_report(main, parser))
