"""What the command line prints of runs."""

import secrets
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import msgspec

from tests.simulation.campaign import Tally, campaign, outcomes, seeds_from, told
from tests.simulation.plan import Plan
from tests.simulation.runs import Outcome, run
from tests.simulation.safeguards import SAFEGUARDS
from tests.simulation.shrinking import Failure
from tests.simulation.shrinking import shrink as shrink_plan
from tests.simulation.trace import Trace

_LAST_LINES = 80


def tell_campaign(
    seeds: Iterable[int] | None, minutes: float | None, processes: int | None, failures_max: int
) -> int:
    """Run many seeds; 1 if one fails."""
    if seeds is None:
        start = secrets.randbelow(2**40)
        print(f"seeds from {start} on")
        seeds = seeds_from(start)
        minutes = minutes or 1.0
    tally: Tally = campaign(seeds, minutes=minutes, processes=processes, failures_max=failures_max)
    print(tally.line())
    return int(bool(tally.failed))


def tell_seed(seed: int, without: str | None, *, whole: bool, shrink: bool) -> int:
    """Run one seed, and tell what happened if it fails; 1 if it does."""
    plan = Plan.draw(seed)
    outcome = _tell_run(plan, without, whole=whole)
    if outcome.kind is None:
        return 0
    if shrink:
        smaller = shrink_plan(plan, partial(_failure, without=without))
        path = Path(tempfile.gettempdir()) / f"simulation-{seed}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(smaller)))
        _tell_run(smaller, without, whole=True)
        option = f" --without {without}" if without else ""
        print(f"    again: python -m tests.simulation --plan {path}{option}")
    return 1


def _failure(plan: Plan, without: str | None) -> Failure | None:
    outcome = run(plan, without=without)
    return None if outcome.kind is None else Failure(outcome.kind, outcome.virtual_ms)


def tell_plan(path: Path, without: str | None, *, whole: bool) -> int:
    """Run a plan from a file; 1 if it fails."""
    plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    return int(_tell_run(plan, without, whole=whole).kind is not None)


def _tell_run(plan: Plan, without: str | None, *, whole: bool) -> Outcome:
    trace = Trace()
    outcome = run(plan, without=without, trace=trace)
    lines = trace.lines if whole else trace.lines[-_LAST_LINES:]
    if outcome.kind is not None or whole:
        print(*lines, sep="\n")
    size = f"{len(plan.commands)} commands, {len(plan.faults)} faults"
    if outcome.kind is None:
        print(f"seed {plan.seed}: all promises kept; {size}, {outcome.entries} entries")
    else:
        print(f"{told(outcome, without)}\n    {size}")
    return outcome


def tell_safeguards(names: Iterable[str], processes: int | None) -> int:
    """Take out one safeguard after the other, and tell which seed finds it; 1 if none does."""
    unfound = 0
    for name in names or SAFEGUARDS:
        safeguard = SAFEGUARDS[name]
        found = None
        for outcome in outcomes(range(safeguard.seeds_max), without=name, processes=processes):
            if safeguard.is_found_by(outcome.kind):
                found = outcome
                break
        if found is None:
            unfound += 1
            print(f"{name}: NOT FOUND in {safeguard.seeds_max} seeds ({safeguard.what})")
        else:
            text = " ".join(found.text.split())[:160]
            print(f"{name}: {found.kind} at seed {found.seed}: {text}", flush=True)
    return int(bool(unfound))
