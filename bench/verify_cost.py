"""Measure where the processor time of `wallet verify` goes, check by check.

py-spy looks at the process that verifies some hundred times a second, and each look counts for
what the innermost known function is for. On Linux this takes root, or kernel.yama.ptrace_scope = 0.

python -m bench.verify_cost [--scale S] [--json FILE]
"""

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import BenchError
from bench.filled_log import filled_log
from bench.report import run_report
from bench.session import Bench
from bench.site import Site
from engine.replay import shard_sizes

LOOKS_PER_S = 200
REST = "the rest"
_PY_SPY = Path(sys.executable).with_name("py-spy")
_WORKER = "projections/verification/worker.py"

_STAGES = {
    "projections/comparison.py": "hold the read models against the replay",
    "projections/expected.py": "hold the read models against the replay",
    "projections/verification/models.py": "hold the read models against the replay",
    "engine/decider.py": "decide and evolve again",
    "engine/lots.py": "decide and evolve again",
    "engine/wallet.py": "decide and evolve again",
    "projections/verification/evolving.py": "decide and evolve again",
    "projections/verification/history.py": "decide and evolve again",
    "projections/verification/identities.py": "ids and digests",
    "projections/verification/rebuilt.py": "ids and digests",
    "schemas/digests.py": "ids and digests",
    "engine/merkle/": "hash the tree",
    "projections/verification/tree.py": "hash the tree",
    "schemas/entries.py": "decode",
    "projections/verification/columns.py": "columns",
    "projections/verification/money.py": "money",
    "projections/verification/command_groups.py": "commands",
    "projections/spool.py": "remember wallets on disk",
    "engine/replay.py": "read",
    "asyncpg/": "read",
    "asyncio/": "read",
}


def stage_of(frames: Sequence[str]) -> str:
    """The stage of a stack, given as `function (file)`, outermost first."""
    for frame in reversed(frames):
        file = frame.partition("(")[2]
        for part, stage in _STAGES.items():
            if file.startswith(part):
                return stage
    return REST


async def look(site: Site) -> Counter[str]:
    """How often each stage was met by the process that verifies, with one at a time."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "looks"
        process = await asyncio.create_subprocess_exec(
            *(str(_PY_SPY), "record", "--subprocesses", "--rate", str(LOOKS_PER_S)),
            *("--format", "raw", "--nolineno", "--output", str(path), "--"),
            *(sys.executable, "-m", "cli.main", "verify", "--no-kafka", "--processes", "1"),
            env={**os.environ, **site.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode or not path.exists():
            raise BenchError(f"py-spy ended with {process.returncode}: {output.decode()}")
        stages: Counter[str] = Counter()
        for line in path.read_text().splitlines():
            frames, _, times = line.rpartition(" ")
            if _WORKER in frames:
                stages[stage_of(frames.split(";"))] += int(times)
        return stages


async def main(bench: Bench, _options: argparse.Namespace) -> dict[str, float]:
    """Prints a line for each stage, the largest first."""
    site = await bench.prepared(filled_log)
    async with site.database() as connection:
        entries = sum((await shard_sizes(connection)).values())
    stages = await look(site)
    costs = {name: 1e6 / LOOKS_PER_S * times / entries for name, times in stages.most_common()}
    total = sum(costs.values())
    print("\n| stage | us an event | share |\n|---|--:|--:|")
    for name, cost in costs.items():
        print(f"| {name} | {cost:.1f} | {cost / total:.0%} |")
    print(f"| sum | {total:.1f} | |")
    return costs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.verify_cost", description=__doc__)
    sys.exit(run_report(main, parser))
