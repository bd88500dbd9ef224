"""The decider against the oracle, and what must hold of every state and every history."""

from itertools import pairwise

import pytest
from hypothesis import event as seen
from hypothesis import given
from hypothesis import strategies as st

from engine import decider
from engine.decider import decide, evolve, expire_due
from engine.lots import burn_order
from engine.wallet import encode_wallet
from schemas.events import Credited, Debited, Expired, ToppedUp, WrittenOff
from schemas.money import AMOUNT_MAX
from schemas.rejections import Rejection
from tests.support.wallet_commands import moments, openings, schedules, thorough
from tests.support.wallet_histories import decided, final, history
from tests.wallet_oracle import Oracle

LOTS_MAX = 3


@pytest.fixture(autouse=True, scope="module")
def few_lots():
    """A bound that generated histories reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decider, "LOTS_MAX", LOTS_MAX)
        yield


@thorough
@given(openings, schedules)
def test_the_decider_does_what_the_oracle_does(opening, schedule):
    oracle = Oracle(
        owner=("mch_1", "live"),
        currency="GHS",
        credit_limit=opening.credit_limit,
        lots_max=LOTS_MAX,
    )
    for _, now, command, decision, wallet in decided(opening, schedule):
        code = oracle.ask(command, now)
        seen(code or type(command).__name__)
        assert (decision.code if isinstance(decision, Rejection) else None) == code
        assert wallet.balance == oracle.balance(now)
        assert wallet.owed == oracle.debt
        assert wallet.status == oracle.status
        assert sorted(
            (lot.remaining, lot.priority, str(lot.expires_at)) for lot in wallet.lots
        ) == (sorted((lot.left, lot.priority, str(lot.expires_at)) for lot in oracle.alive(now)))


@thorough
@given(openings, schedules)
def test_every_state_is_sound(opening, schedule):
    for version, (_, wallet) in enumerate(history(opening, schedule), 1):
        assert wallet.version == version
        assert wallet.balance == sum(lot.remaining for lot in wallet.lots) - wallet.owed
        assert -wallet.credit_limit <= wallet.balance <= AMOUNT_MAX
        assert wallet.owed >= 0
        assert not (wallet.owed and wallet.lots)
        assert all(0 < lot.remaining <= AMOUNT_MAX for lot in wallet.lots)
        assert all(0 < lot.id <= version for lot in wallet.lots)
        assert len({lot.id for lot in wallet.lots}) == len(wallet.lots) <= LOTS_MAX + 1
        assert list(wallet.lots) == sorted(wallet.lots, key=burn_order)
        expiries = [lot.expires_at for lot in wallet.lots if lot.expires_at is not None]
        assert wallet.next_expiry == min(expiries, default=None)


@thorough
@given(openings, schedules)
def test_no_sequence_of_commands_makes_money(opening, schedule):
    signs = {Credited: 1, ToppedUp: 1, Debited: -1, Expired: -1, WrittenOff: -1}
    total = 0
    for event, wallet in history(opening, schedule):
        total += signs.get(type(event), 0) * getattr(event, "amount", 0)
        assert wallet.balance == total


@thorough
@given(openings, schedules)
def test_balances_chain_and_lots_add_up(opening, schedule):
    for (_, before), (event, after) in pairwise(history(opening, schedule)):
        if not hasattr(event, "amount"):
            assert before.balance == after.balance
            continue
        assert (event.balance_before, event.balance_after) == (before.balance, after.balance)
        if isinstance(event, Debited | WrittenOff):
            overdrawn = event.overdrawn if isinstance(event, Debited) else min(event.amount, 0)
            assert sum(part.amount for part in event.lots) + overdrawn == event.amount
            assert all(part.amount > 0 for part in event.lots)
        else:
            kept = {lot.id: lot.remaining for lot in after.lots}.get(event.lot, 0)
            had = {lot.id: lot.remaining for lot in before.lots}.get(event.lot, 0)
            assert kept - had + getattr(event, "settled", 0) == (
                -event.amount if isinstance(event, Expired) else event.amount
            )


@thorough
@given(openings, schedules)
def test_a_refusal_changes_nothing_and_nothing_changes_in_place(opening, schedule):
    kept = []
    for before, now, _, decision, after in decided(opening, schedule):
        kept.append((before, encode_wallet(before)))
        if isinstance(decision, Rejection):
            due = expire_due(before, now)
            assert after.version == before.version + len(due)
    assert all(encode_wallet(wallet) == data for wallet, data in kept)


@thorough
@given(openings, schedules, moments)
def test_expiring_is_settled_at_once(opening, schedule, now):
    wallet = final(opening, schedule)
    for event in expire_due(wallet, now):
        assert event.expires_at <= now
        wallet = evolve(wallet, event)
    assert expire_due(wallet, now) == ()
    assert all(lot.expires_at is None or lot.expires_at > now for lot in wallet.lots)


@thorough
@given(openings, schedules, st.data())
def test_the_same_command_decides_the_same_again(opening, schedule, data):
    steps = list(decided(opening, schedule))
    if steps:
        before, now, command, decision, _ = data.draw(st.sampled_from(steps))
        due = expire_due(before, now)
        again = decide(before, command, now)
        expected = decision if isinstance(decision, Rejection) else (*due, *decision)
        assert again == expected
