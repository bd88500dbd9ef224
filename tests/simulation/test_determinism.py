"""One seed, one run: byte for byte, whichever process it runs in, and whatever ran there before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import Plan
from tests.simulation.runs import run
from tests.simulation.trace import Trace

_ROOT = Path(__file__).parents[2]
_TRACE = """
import sys
from tests.simulation.test_determinism import traced
sys.stdout.buffer.write(traced([int(seed) for seed in sys.argv[1:]])[-1])
"""


def traced(seeds: list[int]) -> list[bytes]:
    """The whole trace of each run, and what stands in the log at its end."""
    traces = []
    for seed in seeds:
        trace = Trace()
        outcome = run(Plan.draw(seed), trace=trace)
        lines = [f"{line.at_us} {line.who} {line.what}" for line in trace.lines]
        traces.append("\n".join([*lines, repr(outcome)]).encode())
    return traces


def in_another_process(hash_seed: int, *seeds: int) -> bytes:
    """The trace of the last one."""
    return subprocess.run(
        [sys.executable, "-c", _TRACE, *map(str, seeds)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        check=True,
        capture_output=True,
    ).stdout


@pytest.mark.parametrize("seed", [10, 24, 202])
def test_a_seed_has_one_trace(seed: int) -> None:
    first = in_another_process(1, seed)
    assert len(first.splitlines()) > 500
    assert in_another_process(2, seed - 1, seed) == first


def test_seeds_differ() -> None:
    first, second = traced([1, 2])
    assert first != second
