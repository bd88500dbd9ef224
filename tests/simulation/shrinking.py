"""Cuts a failing plan down to what it takes to fail in the same way."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from tests.simulation.plan import Plan, Rates

RUNS_MAX = 600


class Failure(NamedTuple):
    """How a run failed, and when."""

    kind: str
    at_ms: int


Run = Callable[[Plan], Failure | None]


def shrink(plan: Plan, run: Run, runs_max: int = RUNS_MAX) -> Plan:
    """The smallest plan found that fails as `plan` does.

    A run depends on all of its plan, so a part that looks harmless may still be needed: what is
    left is small, not the smallest there is.
    """
    failure = run(plan)
    if failure is None:
        raise ValueError("a plan that does not fail cannot be cut down")
    return _Shrinking(run, failure, runs_max).shrink(_until(plan, failure.at_ms))


def _until(plan: Plan, at_ms: int) -> Plan:
    """Without what comes after the failure: nothing before it can depend on that."""
    return replace(
        plan,
        commands=[planned for planned in plan.commands if planned.at_ms <= at_ms],
        faults=[fault for fault in plan.faults if fault.at_ms <= at_ms],
    )


class _Shrinking:
    def __init__(self, run: Run, failure: Failure, runs_left: int) -> None:
        self._run = run
        self._failure = failure
        self._runs_left = runs_left

    def shrink(self, plan: Plan) -> Plan:
        plan = self._without_partitions(self._calm(plan))
        before = None
        while plan != before and self._runs_left > 0:
            before = plan
            plan = self._fewer(plan, "faults")
            plan = self._fewer(plan, "commands")
            plan = self._calm(plan)
        return self._sooner(plan)

    def _failing(self, plan: Plan) -> Plan | None:
        """The plan up to where it fails, if it does so in the same way."""
        if self._runs_left <= 0:
            return None
        self._runs_left -= 1
        failure = self._run(plan)
        if failure is None or failure.kind != self._failure.kind:
            return None
        return _until(plan, failure.at_ms)

    def _calm(self, plan: Plan) -> Plan:
        """Without what goes wrong at random, if it fails all the same."""
        if plan.refused:
            plan = self._failing(replace(plan, refused={})) or plan
        rates = {name: 0 for name in Rates.__struct_fields__ if getattr(plan.rates, name)}
        if not rates:
            return plan
        if calm := self._failing(replace(plan, rates=Rates())):
            return calm
        for name in rates:
            calmer = replace(plan, rates=replace(plan.rates, **{name: 0}))
            plan = self._failing(calmer) or plan
        return plan

    def _without_partitions(self, plan: Plan) -> Plan:
        for partition in range(plan.partitions):
            others = [each for each in plan.commands if each.partition != partition]
            plan = self._failing(replace(plan, commands=others)) or plan
        return plan

    def _fewer(self, plan: Plan, name: str) -> Plan:
        """Leave out ever smaller pieces of a list, as long as it fails."""
        size = len(getattr(plan, name))
        while size:
            start = 0
            while start < len(parts := self._parts(plan, name)):
                fewer = [*parts[:start], *parts[start + size :]]
                if smaller := self._failing(replace(plan, **{name: fewer})):
                    plan = smaller
                else:
                    start += size
            size //= 2
        return plan

    @staticmethod
    def _parts(plan: Plan, name: str) -> Sequence[Any]:
        parts: Sequence[Any] = getattr(plan, name)
        return parts

    def _sooner(self, plan: Plan) -> Plan:
        """Let it be quiet as soon as nothing more is to come."""
        ends = [0, *(fault.at_ms + fault.length_ms for fault in plan.faults)]
        ends += [planned.at_ms for planned in plan.commands]
        return self._failing(replace(plan, quiet_at_ms=max(ends) + 1_000)) or plan
