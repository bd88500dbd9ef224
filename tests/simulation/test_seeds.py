"""The fixed seeds of the suite, and some that belong to this commit alone."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.simulation.version import ROOT, version

FIXED = range(240)
OF_THE_COMMIT = 60


def simulate(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(900)
def test_every_promise_is_kept_under_fixed_seeds():
    done = simulate("--seeds", f"{FIXED.start}:{FIXED.stop}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{len(FIXED)} seeds .* 0 failed; faults: ", done.stdout, re.MULTILINE)


@pytest.mark.timeout(900)
def test_every_promise_is_kept_under_seeds_of_this_commit():
    name, first = version()
    done = simulate("--seeds", f"{first}:{first + OF_THE_COMMIT}")
    assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"


def test_without_git_the_sources_say_which_seeds(tmp_path):
    for package in ("engine", "schemas"):
        shutil.copytree(ROOT / package, tmp_path / package)
    first = version(tmp_path)
    assert first.name.startswith("no commit's id here")
    assert version(tmp_path) == first
    (tmp_path / "engine" / "decider.py").write_text("")
    assert version(tmp_path).first_seed != first.first_seed


@pytest.mark.timeout(300)
def test_a_failing_run_says_what_happened_and_how_to_see_it_again():
    found = re.search(r" at seed (\d+): ", simulate("--safeguards", "publish_checkpoint").stdout)
    assert found is not None
    seed = found[1]
    done = simulate("--seed", seed, "--without", "publish_checkpoint")
    assert done.returncode == 1, done.stdout + done.stderr
    again = re.search(r"^    again: python -m tests\.simulation (.+)$", done.stdout, re.MULTILINE)
    assert again is not None
    repeated = simulate(*again[1].split())
    assert repeated.stdout == done.stdout
    assert re.search(r"^ +\d+\.\d{6}  \S+ +commit, shard \d: ", done.stdout, re.MULTILINE)
    assert f"seed {seed}: published_too_far: shard" in done.stdout


@pytest.mark.timeout(300)
def test_a_run_that_keeps_its_promises_says_so():
    done = simulate("--seed", 1, "--trace")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 1: all promises kept; " in done.stdout
    assert re.search(r"^ +\d+\.\d{6}  upstream +sends ", done.stdout, re.MULTILINE)
