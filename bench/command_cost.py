"""Measure where an engine's processor time goes, stage by stage, while it works at its full rate.

py-spy looks at the engine some hundred times a second, and each look counts for the stage that the
innermost known function belongs to. The sum is compared with the processor time that the system has
counted: it is larger where the engine had to wait for a processor, so the machine has to be quiet.
On Linux this takes root, or kernel.yama.ptrace_scope = 0.

python -m bench.command_cost [--runs N] [--scale S] [--svg FILE] [--json FILE]
"""

import argparse
import asyncio
import signal
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bars import write_bars
from bench.command_stages import REST, STAGES, stage_of
from bench.drain import Watch
from bench.errors import BenchError
from bench.load import debits, wallet_ids
from bench.processor_time import processor_times
from bench.report import run_report
from bench.session import Bench, Run
from cli.stack import ManagedProcess

LOOKS_PER_S = 400
_PY_SPY = Path(sys.executable).with_name("py-spy")
_STOP_S_MAX = 60

Costs = dict[str, float]
"""Microseconds of processor time a command, by stage or process."""


@asynccontextmanager
async def looks_at(process: ManagedProcess) -> AsyncIterator[Counter[str]]:
    """How often each stage was met until the block's end; filled in then."""
    stages: Counter[str] = Counter()
    with TemporaryDirectory() as directory:
        path = Path(directory) / "looks"
        spy = await asyncio.create_subprocess_exec(
            *(str(_PY_SPY), "record", "--pid", str(process.pid), "--rate", str(LOOKS_PER_S)),
            *("--format", "raw", "--nolineno", "--output", str(path)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield stages
            spy.send_signal(signal.SIGINT)
            output, _ = await asyncio.wait_for(spy.communicate(), _STOP_S_MAX)
        finally:
            if spy.returncode is None:
                spy.kill()
        if not path.exists():
            raise BenchError(f"py-spy has seen nothing: {output.decode().strip()}")
        for line in path.read_text().splitlines():
            frames, _, times = line.rpartition(" ")
            stages[stage_of(frames.split(";"))] += int(times)


async def measure(run: Run) -> tuple[Costs, Costs]:
    """By stage of the engine, and by process."""
    sizes = run.sizes
    wallets = wallet_ids(sizes.wallets)
    async with run.site("cost") as site:
        await site.open_wallets(wallets)
        await site.fill(debits(wallets, sizes.commands, "cost"))
        async with Watch.of(site.settings) as watch, site.running("engine") as (engine,):
            watch.expect([engine])
            pids = {
                "engine": engine.pid,
                "PostgreSQL": run.stack.postgres.process.pid,
                "Kafka": run.stack.kafka.process.pid,
            }
            await watch.until_decided(watch.decided + 1)
            async with looks_at(engine) as stages:
                decided, before = watch.decided, processor_times(pids)
                await watch.until_decided(site.sent)
                after = processor_times(pids)
    commands = site.sent - decided
    if not commands or not stages:
        raise BenchError("all was decided before anybody looked: measure more commands")
    by_process = {name: 1e6 * (after[name] - before[name]) / commands for name in pids}
    per_look = 1e6 / LOOKS_PER_S / commands
    return {name: per_look * stages[name] for name in (*STAGES, REST)}, by_process


def median_costs(runs: list[Costs]) -> Costs:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def print_costs(stages: Costs, processes: Costs) -> None:
    """As tables in Markdown."""
    total = sum(stages.values())
    print("\n| stage | us a command | share |\n|---|--:|--:|")
    for name, cost in stages.items():
        print(f"| {name} | {cost:.1f} | {cost / total:.0%} |")
    whole = processes["engine"]
    print(f"| sum of the stages | {total:.1f} | |")
    print(f"| processor time of the engine | {whole:.1f} | {whole / total:.0%} |")
    print("\n| process | us a command |\n|---|--:|")
    for name, cost in processes.items():
        print(f"| {name} | {cost:.1f} |")


async def main(bench: Bench, options: argparse.Namespace) -> Mapping[str, list[Costs]]:
    """Prints medians of all runs, and gives each."""
    measured = [await measure(Run(bench, number)) for number in range(options.runs)]
    stages = [by_stage for by_stage, _ in measured]
    processes = [by_process for _, by_process in measured]
    print_costs(median_costs(stages), median_costs(processes))
    if options.svg:
        write_bars(
            options.svg, "us of the engine's processor time a command", median_costs(stages)
        )
    return {"stages": stages, "processes": processes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.command_cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the stages as bars")
    sys.exit(run_report(main, parser))
