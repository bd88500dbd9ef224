"""Measure the service, each figure beside its ceiling in the same run.

The embedded stack is started with durable settings, and on it the processes that users run. The
figures are measured one after the other, three times each; what several of them are compared with
is measured once in each run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.baseline import COMMITTED, LOSS_MAX, losses, read_baseline, write_baseline
from bench.figure import Figure
from bench.figures import FIGURES
from bench.machine import describe_machine, describe_versions, durable_settings
from bench.progress import Progress
from bench.report import run_until_signal
from bench.results import write_json
from bench.session import Bench, Run
from bench.sizes import FULL, QUICK
from bench.table import Measured, as_document, median_ratio, print_table, quantity


async def main(options: argparse.Namespace) -> int:
    """Measures, prints, writes; the exit status."""
    figures = [figure for figure in FIGURES if figure.name in options.figure]
    baseline = read_baseline(options.baseline) if options.baseline else None
    progress = Progress(figures, options.runs, options.scale)
    sizes = (QUICK if options.quick else FULL).scaled(options.scale)
    async with Bench.started(sizes, progress.say) as bench:
        versions = await describe_versions(bench.stack)
        settings = await durable_settings(bench.stack)
        measured = await _measure(bench, figures, options.runs, progress)
    print_table(figures, measured, _heading(options, versions))
    if options.json:
        write_json(
            options.json,
            options,
            as_document(figures, measured),
            versions=versions,
            settings=settings,
            sizes=vars(sizes),
        )
    ratios = {name: median_ratio(runs) for name, runs in measured.items()}
    if options.write_baseline:
        write_baseline(COMMITTED, ratios)
        print(f"\nThe ratios are the baseline now: {COMMITTED}")
    return _compare(figures, ratios, baseline) if baseline is not None else 0


async def _measure(
    bench: Bench, figures: Sequence[Figure], runs: int, progress: Progress
) -> Measured:
    measured: Measured = {figure.name: [] for figure in figures}
    for number in range(runs):
        run = Run(bench, number)
        for figure in figures:
            progress.begin(figure, number + 1, runs)
            measurement = await figure.measure(run)
            progress.end(figure)
            measured[figure.name].append(measurement)
            progress.say(
                f"{figure.name}: {quantity(measurement.value, figure.unit)} beside"
                f" {quantity(measurement.ceiling, figure.ceiling_unit)}:"
                f" {measurement.ratio:.2f}, the goal is {figure.goal}"
                + (f"; {measurement.shortfall}" if measurement.shortfall else "")
            )
    return measured


def _heading(options: argparse.Namespace, versions: dict[str, str]) -> str:
    machine = describe_machine()
    scale = "" if options.scale == 1 else f", SCALE {options.scale:g}: of no use but to try it"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux"
        f" {machine['kernel']}; Python {versions['python']}, PostgreSQL {versions['postgresql']},"
        f" Kafka {versions['kafka']}\n{'quick, ' if options.quick else ''}medians of"
        f" {options.runs} runs{scale}"
    )


def _compare(
    figures: Sequence[Figure], ratios: dict[str, float], baseline: dict[str, float]
) -> int:
    lost = losses(figures, ratios, baseline)
    print()
    for sentence in lost:
        print(f"bench: {sentence}", file=sys.stderr)
    if lost:
        print(
            "bench: measure again on a machine that does nothing else. If it is so, and meant to"
            " be, renew the baseline: python -m bench --quick --write-baseline",
            file=sys.stderr,
        )
        return 1
    print(f"No ratio is more than {LOSS_MAX:.0%} worse than the baseline's.")
    return 0


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for; a mistake ends the process with status 2 and a sentence."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [figure.name for figure in FIGURES]
    parser.add_argument(
        "--figure",
        action="append",
        choices=names,
        metavar="NAME",
        help=f"only this one; may be given again. One of {', '.join(names)}",
    )
    parser.add_argument("--runs", type=_positive, default=3, help="of each (%(default)s)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"only {', '.join(each.name for each in FIGURES if each.is_quick)}, on less, and"
        " compare with the baseline",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the workload, to try it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help=f"compare the ratios with these; with --quick {COMMITTED.name}",
    )
    parser.add_argument(
        "--write-baseline", action="store_true", help="keep the ratios as the baseline instead"
    )
    options = parser.parse_args(arguments)
    if options.write_baseline and (not options.quick or options.figure or options.scale != 1):
        parser.error("--write-baseline takes --quick, all of its figures, and no --scale")
    is_comparable = options.quick and options.scale == 1
    if options.baseline and not is_comparable:
        parser.error(
            "--baseline takes --quick and no --scale: ratios of other sizes are not the same"
        )
    if is_comparable and not options.write_baseline and not options.baseline:
        options.baseline = COMMITTED
    if options.figure is None:
        options.figure = [each.name for each in FIGURES if each.is_quick or not options.quick]
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(run_until_signal(main(read_options())))
