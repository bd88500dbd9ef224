"""A worker that dies, or stops to run for longer than its session, before each of its steps."""

from functools import cache

import msgspec
import pytest

from tests.simulation.plan import Fault, FaultKind, Plan, Rates
from tests.simulation.world import World

COMMANDS = 60
AFTER_MS = 800
SEED = 3


@cache
def undisturbed() -> tuple[Plan, dict[str, int]]:
    """A plan in which nothing goes wrong, and how many steps each process takes in it."""
    drawn = Plan.draw(SEED)
    commands = drawn.commands[:COMMANDS]
    plan = msgspec.structs.replace(
        drawn,
        commands=commands,
        faults=[],
        rates=Rates(),
        projectors=1,
        settings=drawn.settings | {"session_timeout_ms": 1_000},
        quiet_at_ms=commands[-1].at_ms + AFTER_MS,
    )
    world = World(plan)
    world.run()
    return plan, {name: process.steps for name, process in world._processes.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kind", "name", "length_ms"),
    [
        ("crash", "engine-0", 200),
        ("pause", "engine-0", 2_500),
        ("projector_crash", "projector-0", 200),
    ],
)
def test_before_each_step(kind: FaultKind, name: str, length_ms: int) -> None:
    plan, steps = undisturbed()
    assert steps[name] > 100
    for step in range(steps[name]):
        fault = Fault(kind=kind, at_ms=0, length_ms=length_ms, size=step)
        disturbed = msgspec.structs.replace(
            plan, faults=[fault], quiet_at_ms=plan.quiet_at_ms + length_ms
        )
        report = World(disturbed).run()
        assert report.faults == {kind: 1}, f"step {step}"
