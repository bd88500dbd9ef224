"""Hypothesis strategies for what may come to one wallet, and when.

Moments lie on a grid of microseconds so narrow that expiry and decision often fall together.
"""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st

from schemas.money import AMOUNT_MAX
from tests.support.specification import (
    NOW,
    close,
    create_wallet,
    credit,
    debit,
    freeze,
    opened,
    topup,
    unfreeze,
)

thorough = settings(max_examples=250, deadline=None)


def weighted(**weights):
    """One of the strategies by name, as often as its weight says."""
    names = [name for name, weight in weights.items() for _ in range(weight)]
    return st.sampled_from(names).flatmap(_kinds.__getitem__)


def rarely(usual, rare):
    """`usual`, and one time in ten one of `rare`."""
    return st.sampled_from([usual] * 18 + rare)


TICKS = 40
moments = st.integers(1, TICKS).map(lambda tick: NOW + timedelta(microseconds=tick))
small = st.integers(1, 20)
amounts = st.sampled_from([small] * 12 + [st.sampled_from([AMOUNT_MAX, AMOUNT_MAX - 1])]).flatmap(
    lambda strategy: strategy
)
priorities = st.sampled_from([0, 99, 100, 100, 100, 101, 1000])

_sender = {
    "merchant_id": rarely(None, ["mch_1", "mch_2"]),
    "environment": rarely(None, ["live", "sandbox"]),
}
_money = _sender | {"amount": amounts, "currency": rarely(None, ["GHS", "USD"])}
_kinds = {
    "debit": st.builds(debit, **_money),
    "credit": st.builds(credit, **_money, expires_at=st.none() | moments, priority=priorities),
    "topup": st.builds(topup, **_money),
    "freeze": st.builds(freeze, **_sender),
    "unfreeze": st.builds(unfreeze, **_sender),
    "close": st.builds(close, **_sender),
    "create": st.just(create_wallet()),
}
commands = weighted(debit=16, credit=14, topup=8, freeze=2, unfreeze=4, close=1, create=1)

openings = st.builds(opened, credit_limit=st.sampled_from([0, 0, 1, 15, AMOUNT_MAX]))
# each command with the microseconds that pass before it; left alone, lists stay short
_steps = st.tuples(st.sampled_from([0, 0, 0, 1, 2, 5, 20]), commands)
schedules = st.lists(_steps, max_size=6) | st.lists(_steps, min_size=12, max_size=40)


def timed(schedule):
    """The schedule's commands, each with its moment."""
    now = NOW
    for pause, command in schedule:
        now += timedelta(microseconds=pause)
        yield now, command
