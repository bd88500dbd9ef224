"""Cuts a failing plan down to what it takes to fail in the same way."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from tests.simulation.plan import Plan, Rates

Kind = str | None
Part = TypeVar("Part")

RUNS_MAX = 2_000


def shrink(plan: Plan, run: Callable[[Plan], Kind], runs_max: int = RUNS_MAX) -> Plan:
    """The smallest plan found that ends as `plan` does; `run` gives the kind of the violation.

    A run depends on all of its plan, so a part that looks harmless may still be needed: what is
    left is small, not the smallest there is.
    """
    return _Shrinking(run, run(plan), runs_max).shrink(plan)


class _Shrinking:
    def __init__(self, run: Callable[[Plan], Kind], kind: Kind, runs_left: int) -> None:
        if kind is None:
            raise ValueError("a plan that does not fail cannot be cut down")
        self._run = run
        self._kind = kind
        self._runs_left = runs_left

    def shrink(self, plan: Plan) -> Plan:
        before = None
        while plan != before and self._runs_left > 0:
            before = plan
            plan = self._calm(plan)
            plan = self._fewer(plan, "commands")
            plan = self._fewer(plan, "faults")
        return self._sooner(plan)

    def _fails(self, plan: Plan) -> bool:
        if self._runs_left <= 0:
            return False
        self._runs_left -= 1
        return self._run(plan) == self._kind

    def _calm(self, plan: Plan) -> Plan:
        """Without what goes wrong at random, if it fails all the same."""
        if self._fails(calm := replace(plan, rates=Rates())):
            return calm
        for name in Rates.__struct_fields__:
            if getattr(plan.rates, name) and self._fails(
                calmer := replace(plan, rates=replace(plan.rates, **{name: 0}))
            ):
                plan = calmer
        return plan

    def _fewer(self, plan: Plan, name: str) -> Plan:
        """Leave out ever smaller pieces of a list, as long as it fails."""
        parts: Sequence[Any] = getattr(plan, name)
        size = len(parts)
        while size:
            start = 0
            while start < len(parts):
                fewer = [*parts[:start], *parts[start + size :]]
                if self._fails(replace(plan, **{name: fewer})):
                    parts = fewer
                else:
                    start += size
            size //= 2
        return replace(plan, **{name: list(parts)})

    def _sooner(self, plan: Plan) -> Plan:
        """Let it be quiet as soon as nothing more is to come."""
        ends = [0, *(fault.at_ms + fault.length_ms for fault in plan.faults)]
        ends += [planned.at_ms for planned in plan.commands]
        sooner = replace(plan, quiet_at_ms=max(ends) + 1_000)
        return sooner if self._fails(sooner) else plan
