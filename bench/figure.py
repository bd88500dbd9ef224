"""What a figure of the benchmark is: a value beside its ceiling, and the ratio to reach."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.session import Run


@dataclass(frozen=True)
class Goal:
    """The bound of a ratio."""

    bound: float
    is_least: bool

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.bound if self.is_least else ratio <= self.bound

    def loss(self, before: float, now: float) -> float:
        """The part of the ratio `before` that is lost: 0.2 is a fifth worse, below 0 is better."""
        return 1 - now / before if self.is_least else 1 - before / now

    def __str__(self) -> str:
        return f"{'at least' if self.is_least else 'at most'} {self.bound:g}"


def at_least(bound: float) -> Goal:
    return Goal(bound, is_least=True)


def at_most(bound: float) -> Goal:
    return Goal(bound, is_least=False)


@dataclass(frozen=True)
class Measurement:
    """One run of a figure. `shortfall` says in a sentence what besides the ratio was not reached."""

    value: float
    ceiling: float
    details: dict[str, Any] = field(default_factory=dict)
    shortfall: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.ceiling


@dataclass(frozen=True)
class Figure:
    """`ceiling` names what the value is compared with, in the same run.

    `is_quick`: part of the quick benchmark. `expected_s` is what a run takes at full size, until a
    run has shown it.
    """

    name: str
    title: str
    unit: str
    ceiling: str
    ceiling_unit: str
    goal: Goal
    measure: Callable[["Run"], Awaitable[Measurement]]
    is_quick: bool = False
    expected_s: float = 60
