"""One run of a plan, and what it came to."""

import traceback
from contextlib import ExitStack, nullcontext

from msgspec import Struct

from tests.simulation.plan import Plan
from tests.simulation.safeguards import SAFEGUARDS
from tests.simulation.trace import Trace
from tests.simulation.violation import Violation
from tests.simulation.world import World


class Outcome(Struct, frozen=True, kw_only=True):
    """What a run came to. `kind` is None if all promises were kept, else a stable word."""

    seed: int
    commands: int
    faults: dict[str, int]
    entries: int = 0
    kind: str | None = None
    text: str = ""


def run(plan: Plan, *, without: str | None = None, trace: Trace | None = None) -> Outcome:
    """Run a plan once; `without` names a safeguard that is taken out for as long."""
    removal = nullcontext() if without is None else SAFEGUARDS[without].removed()
    with ExitStack() as stack:
        stack.enter_context(removal)
        world = World(plan, trace)
        if trace is not None:
            stack.enter_context(trace.following(world))
        kind, text = None, ""
        try:
            world.run()
        except Violation as violation:
            kind, text = violation.kind, violation.text
        except BaseException as defect:
            if isinstance(defect, KeyboardInterrupt | SystemExit):
                raise
            # of the simulation, or one that the engine did not catch: it is told all the same
            kind = f"defect_{type(defect).__name__}"
            text = "".join(traceback.format_exception(defect)[-6:])
    return Outcome(
        seed=plan.seed,
        commands=len(plan.commands),
        faults=dict(world.faults),
        entries=sum(map(len, world.database.log.values())),
        kind=kind,
        text=text,
    )
