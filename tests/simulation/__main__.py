"""Run the simulation: `python -m tests.simulation --help`."""

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    """Run what the command line asks for; 1 if a promise was broken."""
    arguments = _parse()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # the order of sets is part of a run
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    # only now: what they import takes a while
    from tests.simulation import telling  # noqa: PLC0415

    if arguments.safeguards is not None:
        return telling.tell_safeguards(arguments.safeguards, arguments.processes)
    if arguments.plan is not None:
        return telling.tell_plan(Path(arguments.plan), arguments.without, whole=arguments.trace)
    if arguments.seed is not None:
        return telling.tell_seed(
            arguments.seed, arguments.without, whole=arguments.trace, shrink=arguments.shrink
        )
    return telling.tell_campaign(
        arguments.seeds, arguments.minutes, arguments.processes, arguments.failures_max
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description="Runs the engine on a simulated Kafka, database and clock, all from seeds.",
    )
    parser.add_argument("--seeds", type=_range, metavar="A:B", help="from A to B, exclusive")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--processes", type=int, help="instead of one for each core")
    parser.add_argument("--failures-max", type=int, default=10, help="stop after so many")
    parser.add_argument("--seed", type=int, help="this one, with a trace if it fails")
    parser.add_argument("--plan", help="a plan that was cut down, from its file")
    parser.add_argument("--trace", action="store_true", help="the whole trace in any case")
    parser.add_argument("--shrink", action="store_true", help="cut a failing plan down")
    parser.add_argument("--without", metavar="SAFEGUARD", help="take a safeguard out")
    parser.add_argument(
        "--safeguards", nargs="*", metavar="SAFEGUARD", help="take out each, or these, in turn"
    )
    return parser.parse_args()


def _range(text: str) -> range:
    start, _, stop = text.partition(":")
    return range(int(start), int(stop))


if __name__ == "__main__":
    sys.exit(main())
