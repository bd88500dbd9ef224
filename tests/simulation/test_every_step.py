"""A worker that dies, or stops to run for longer than its session, before each of its steps.

A step lasts from one await that waits to the next. Every statement waits here, on its way to the
server, so that there is a step between any two of them as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple
from unittest.mock import patch

import msgspec
import pytest

from tests.simulation.loop import current_process
from tests.simulation.plan import Fault, FaultKind, Plan, Rates
from tests.simulation.trouble import Trouble
from tests.simulation.world import World

COMMANDS: Final = 60
AFTER_MS: Final = 800
SEED: Final = 3
TRAVEL_S: Final = 0.001
PROJECTOR: Final = "projector-0"


class Course(NamedTuple):
    """A plan in which nothing goes wrong, and what each process does in it."""

    plan: Plan
    steps: dict[str, int]
    statements: list[tuple[int, str]]
    """(step, name) of those of the projector."""


@contextmanager
def every_statement_travels(statements: list[tuple[int, str]]) -> Iterator[None]:
    def travel(_: Trouble, what: str) -> float:
        process = current_process()
        if process is not None and process.name == PROJECTOR:
            statements.append((process.steps, what))
        return TRAVEL_S

    with patch.object(Trouble, "request", travel):
        yield


@cache
def undisturbed() -> Course:
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
    statements: list[tuple[int, str]] = []
    with every_statement_travels(statements):
        world.run()
    steps = {name: process.steps for name, process in world._processes.items()}
    return Course(plan, steps, statements)


def test_there_is_a_step_between_any_two_statements_of_the_projector() -> None:
    statements = undisturbed().statements
    assert all(before < after for (before, _), (after, _) in pairwise(statements))
    assert {name for _, name in statements} >= {
        *("live", "behind", "add_checkpoint", "begin", "advance", "commit"),
        *("apply", "apply_created", "notify"),
    }


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "name", "length_ms"),
    [
        ("crash", "engine-0", 200),
        ("pause", "engine-0", 2_500),
        ("projector_crash", PROJECTOR, 200),
    ],
)
def test_before_each_step(kind: FaultKind, name: str, length_ms: int) -> None:
    plan, steps, _ = undisturbed()
    assert steps[name] > 100
    for step in range(steps[name]):
        fault = Fault(kind=kind, at_ms=0, length_ms=length_ms, size=step)
        disturbed = msgspec.structs.replace(
            plan, faults=[fault], quiet_at_ms=plan.quiet_at_ms + length_ms
        )
        with every_statement_travels([]):
            report = World(disturbed).run()
        assert report.faults == {kind: 1}, f"step {step}"
