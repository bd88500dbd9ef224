"""Each safeguard is taken out in turn, and the simulation finds that it is missing."""

import subprocess
import sys

import pytest

from tests.simulation.safeguards import SAFEGUARDS
from tests.simulation.version import ROOT

pytestmark = pytest.mark.timeout(1_800)


@pytest.fixture(scope="module")
def told():
    """What a run without each of them says, by their names."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--safeguards"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return dict(line.split(": ", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_a_missing_safeguard_is_found(told, name):
    assert "NOT FOUND" not in told[name], told[name]
    assert " at seed " in told[name]


def test_there_are_many():
    assert len(SAFEGUARDS) >= 15


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_each_is_still_where_it_is_taken_out(name):
    with SAFEGUARDS[name].removed():
        pass
