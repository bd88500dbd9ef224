"""One run of a plan, and what it came to."""

import math
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from hashlib import blake2b

from msgspec import Struct

from tests.simulation.checks import Checks
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
    fingerprint: str = ""
    """Two runs with the same one went the same way."""
    virtual_ms: int = 0
    kind: str | None = None
    text: str = ""


def run(plan: Plan, *, without: str | None = None, trace: Trace | None = None) -> Outcome:
    """Run a plan once; `without` names a safeguard that is taken out for as long."""
    with ExitStack() as stack:
        make_checks: Callable[..., Checks] = Checks
        if without is not None:
            safeguard = SAFEGUARDS[without]
            stack.enter_context(safeguard.removed())
            make_checks = partial(Checks, unasked=safeguard.unasked)
        world = World(plan, trace, make_checks)
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
        fingerprint=_fingerprint(world),
        virtual_ms=math.ceil(world.loop.time() * 1000),
        kind=kind,
        text=text,
    )


def _fingerprint(world: World) -> str:
    went = [
        world.loop.time(),
        world.loop.callbacks,
        *((row.epoch, row.last_at, row.tree) for row in world.database.shards.values()),
    ]
    return blake2b(repr(went).encode(), digest_size=8).hexdigest()
