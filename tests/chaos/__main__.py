"""Real processes under faults: python -m tests.chaos [--minutes 10] [--seed N].

The same seed draws the same load and the same faults; what they meet depends on the machine too.
"""

import argparse
import asyncio
import logging
import sys
import time
from random import SystemRandom

from tests.chaos.run import chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1, 10**6))
    options = parser.parse_args()
    # clients tell of every connection that breaks, which is what this is about
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {line}", flush=True)

    try:
        result = asyncio.run(chaos(options.seed, options.minutes * 60, say))
    except AssertionError as failed:
        print(failed, file=sys.stderr)
        print(
            f"\nDraw the same again: .venv/bin/python -m tests.chaos"
            f" --minutes {options.minutes:g} --seed {options.seed}",
            file=sys.stderr,
        )
        return 1
    print(result.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
