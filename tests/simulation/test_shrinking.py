"""A failing plan is cut down to a handful of commands and faults, and still fails the same way."""

import os
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.simulation.plan import Plan
from tests.simulation.shrinking import Failure, shrink
from tests.simulation.version import ROOT


def failing_with(*needed):
    """Stands in for a run: it fails while all of these are in the plan, with the last of them."""

    def run(plan):
        if set(needed) <= {*plan.commands, *plan.faults}:
            return Failure("broken", max(each.at_ms for each in needed))
        return None

    return run


@pytest.fixture
def plan():
    return Plan.draw(5)


def test_what_is_needed_stays_and_nothing_else(plan):
    commands = [plan.commands[number] for number in (3, 150, 299)]
    fault = plan.faults[-1]
    smaller = shrink(plan, failing_with(*commands, fault))
    assert smaller.commands == commands
    assert smaller.faults == [fault]
    assert not any(getattr(smaller.rates, name) for name in smaller.rates.__struct_fields__)
    assert smaller.quiet_at_ms <= max(commands[-1].at_ms, fault.at_ms + fault.length_ms) + 1_000


def test_another_failure_does_not_count(plan):
    needed, other = plan.commands[7], plan.commands[8]

    def run(tried):
        if other not in tried.commands:
            return Failure("something else", 0)
        return Failure("broken", other.at_ms) if needed in tried.commands else None

    assert shrink(plan, run).commands == [needed, other]


def test_what_comes_after_the_failure_goes_at_once(plan):
    ran = []

    def run(tried):
        ran.append(tried)
        return Failure("broken", plan.commands[10].at_ms)

    shrink(plan, run, runs_max=1)
    assert {planned.at_ms for planned in ran[1].commands} <= {
        planned.at_ms for planned in plan.commands[:11]
    }


def test_it_ends_when_it_has_run_often_enough(plan):
    ran = []

    def run(tried):
        ran.append(tried)
        return Failure("broken", 0) if len(ran) == 1 else None

    shrink(plan, run, runs_max=10)
    assert len(ran) <= 11


def test_what_does_not_fail_is_not_cut_down(plan):
    with pytest.raises(ValueError, match="does not fail"):
        shrink(plan, lambda _: None)


@pytest.mark.timeout(900)
def test_an_engine_that_is_known_to_be_broken_fails_with_a_handful(tmp_path):
    found = simulate(tmp_path, "--safeguards", "publish_checkpoint").stdout
    seed = re.search(r" at seed (\d+): ", found)
    assert seed is not None, found
    done = simulate(
        tmp_path, "--seed", seed[1], "--without", "publish_checkpoint", "--shrink"
    ).stdout
    whole, small = failures(done)
    assert whole.kind == small.kind == "published_too_far"
    assert whole.commands >= 300
    assert small.commands <= 30, done
    assert small.faults <= 3, done
    again = re.search(r"again: python -m tests\.simulation (--plan .+)$", done, re.MULTILINE)
    assert again is not None
    assert failures(simulate(tmp_path, *again[1].split()).stdout) == [small]


class Told(NamedTuple):
    kind: str
    text: str
    commands: int
    faults: int


def simulate(directory, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


def failures(told):
    """What a run says of each failure."""
    found = re.findall(
        r"^seed \d+: (\w+): (.*?)\n    again: .*?\n    (\d+) commands, (\d+) faults$",
        told,
        re.MULTILINE | re.DOTALL,
    )
    return [Told(kind, text, int(sent), int(faults)) for kind, text, sent, faults in found]
