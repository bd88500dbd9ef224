"""What every plan holds: enough commands and faults for a run to be worth its time."""

from collections import Counter

import pytest

from tests.simulation.plan import COMMANDS_MIN, FAULT_KINDS, FAULTS_MIN, Plan, Rates

SEEDS = range(300)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [Plan.draw(seed) for seed in SEEDS]


def test_a_plan_is_large_enough(plans: list[Plan]) -> None:
    assert (COMMANDS_MIN, FAULTS_MIN) == (300, 5)
    for plan in plans:
        assert len(plan.commands) >= 300
        assert len(plan.faults) >= 5
        assert {planned.partition for planned in plan.commands} <= set(range(4))
        assert (plan.partitions, plan.workers) == (4, 2)
        assert plan.projectors in {1, 2}


def test_every_kind_of_fault_and_every_rate_is_drawn_often(plans: list[Plan]) -> None:
    kinds = Counter(fault.kind for plan in plans for fault in plan.faults)
    assert min(kinds[kind] for kind in FAULT_KINDS) >= 50
    rates = Counter(
        name for plan in plans for name in Rates.__struct_fields__ if getattr(plan.rates, name)
    )
    assert min(rates[name] for name in Rates.__struct_fields__) >= 30
    assert sum(bool(plan.refused) for plan in plans) >= 50


def test_a_seed_has_one_plan(plans: list[Plan]) -> None:
    assert [Plan.draw(seed) for seed in SEEDS[:20]] == plans[:20]
    assert plans[0] != plans[1]
