"""Measure what a check of a key's rate costs, alone and beside other processes that check it too.

python -m bench.rate_limits [--checks N] [--processes N]
"""

import argparse
import statistics
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from api.access.rate_limits import RateLimits

SECONDS_MAX = 60
_CLIENT_ID = "0123456789ab"
_SPAWNING = get_context("spawn")


def check_costs(path: str, checks: int, per_second: int) -> tuple[float, list[float]]:
    """Microseconds of processor time of the mean check, and of the clock on the wall of each.

    Fewer checks than asked for once a minute is over.
    """
    limits = RateLimits(path)
    costs = []
    worked = time.thread_time_ns()
    end = time.monotonic() + SECONDS_MAX
    for _ in range(checks):
        start = time.perf_counter_ns()
        limits.admits(_CLIENT_ID, per_second)
        costs.append((time.perf_counter_ns() - start) / 1_000)
        if time.monotonic() > end:
            break
    worked = time.thread_time_ns() - worked
    limits.close()
    return worked / 1_000 / len(costs), costs


def _measure(path: str, checks: int, per_second: int, start: Any, results: Any) -> None:
    start.wait()
    results.put(check_costs(path, checks, per_second))


def together(processes: int, checks: int, per_second: int) -> tuple[float, list[float]]:
    """What it costs so many processes that do nothing else, all at once."""
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "limits")
        start, results = _SPAWNING.Barrier(processes), _SPAWNING.Queue()
        running = [
            _SPAWNING.Process(target=_measure, args=(path, checks, per_second, start, results))
            for _ in range(processes)
        ]
        for each in running:
            each.start()
        measured = [results.get(timeout=2 * SECONDS_MAX) for _ in running]
        for each in running:
            each.join()
    worked = statistics.mean(cost for cost, _ in measured)
    return worked, [cost for _, costs in measured for cost in costs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checks", type=int, default=100_000, help="by each process (%(default)s)"
    )
    parser.add_argument("--processes", type=int, default=4, help="the most (%(default)s)")
    arguments = parser.parse_args()
    print("processes  checks are   CPU µs  mean µs   p99 µs")
    for processes in sorted({1, arguments.processes}):
        for what, per_second in (("admitted", 10**9), ("refused", 1)):
            worked, costs = together(processes, arguments.checks, per_second)
            p99 = statistics.quantiles(costs, n=100)[98]
            print(
                f"{processes:9}  {what:10} {worked:7.1f} {statistics.mean(costs):8.1f} {p99:8.1f}"
            )


if __name__ == "__main__":
    main()
