"""Expiry is exact on a write, on a read and on a replay, whether or not its entry is there."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.decider import decide, evolve, expire_due
from engine.wallet import decode_wallet, encode_wallet
from schemas.rejections import Rejection
from tests.support.specification import NOW, credit, credited, debit, debited, opened, topup
from tests.support.wallet_commands import moments, openings, schedules, small, thorough, timed
from tests.support.wallet_histories import decided, fold, history
from tests.wallet_oracle import Oracle

MICROSECOND = timedelta(microseconds=1)
END = NOW + timedelta(days=1)


def worth(wallet, at):
    """The balance as a read at that moment tells it."""
    return fold(wallet, expire_due(wallet, at)).balance


@thorough
@given(
    opening=openings.filter(lambda opening: opening.credit_limit == 0),
    amount=st.integers(2, 2**63 - 1),
    data=st.data(),
    lifetime=st.integers(1, 10**15),
    replayed=st.booleans(),
)
def test_a_lot_is_worth_all_of_it_before_and_nothing_at_its_expiry(
    opening, amount, data, lifetime, replayed
):
    at = NOW + timedelta(microseconds=lifetime)
    wallet = evolve(None, opening)
    wallet = fold(wallet, decide(wallet, credit(amount, expires_at=at), NOW))
    burnt = data.draw(st.integers(0, amount - 1))
    if burnt:
        wallet = fold(wallet, decide(wallet, debit(burnt), at - MICROSECOND))
    if replayed:
        wallet = decode_wallet(encode_wallet(wallet))
    left = amount - burnt

    assert worth(wallet, at - MICROSECOND) == left
    assert worth(wallet, at) == 0
    everything = debit(left)
    assert decide(wallet, everything, at - MICROSECOND) == (
        debited(left, before=left, lots={2: left}),
    )
    one = debit(1)
    expired = fold(wallet, expire_due(wallet, at))
    assert decide(wallet, one, at) == decide(expired, one, at)
    assert decide(wallet, one, at).code == "insufficient_funds"
    assert decide(wallet, topup(7), at) == (
        *expire_due(wallet, at),
        *decide(expired, topup(7), at),
    )


def events_of(opening, schedule, sweeps):
    """All events, in whichever way due lots are looked after: `sweeps(wallet, now)` says when."""
    events, outcomes = [opening], []
    wallet = evolve(None, opening)
    for now, command in timed(schedule):
        for moment in sweeps(now):
            due = expire_due(wallet, moment)
            wallet = fold(wallet, due)
            events += due
        decision = decide(wallet, command, now)
        if isinstance(decision, Rejection):
            outcomes.append(decision)
        else:
            outcomes.append(decision[-1])
            events += decision
            wallet = fold(wallet, decision)
    return [*events, *expire_due(wallet, END)], outcomes


@thorough
@given(openings, schedules, st.lists(moments, max_size=20))
def test_history_is_the_same_whether_or_not_timers_ran(opening, schedule, timers):
    timers = sorted(timers)
    by_engine = events_of(opening, schedule, lambda now: [now])
    by_nobody = events_of(opening, schedule, lambda _: [])
    by_timers = events_of(
        opening, schedule, lambda now: [moment for moment in timers if moment <= now]
    )
    assert by_engine == by_nobody == by_timers


@thorough
@given(openings, schedules, st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_a_read_at_any_moment_tells_what_is_alive(opening, schedule, delays):
    oracle = Oracle(("mch_1", "live"), "GHS", opening.credit_limit, lots_max=1000)
    for _, now, command, _, wallet in decided(opening, schedule):
        oracle.ask(command, now)
        for delay in delays:
            moment = now + timedelta(microseconds=delay)
            assert worth(wallet, moment) == oracle.balance(moment)


@thorough
@given(openings, schedules)
def test_nothing_is_paid_from_a_lot_that_is_dead(opening, schedule):
    expiries = {}
    for _, wallet in history(opening, schedule):
        expiries |= {lot.id: lot.expires_at for lot in wallet.lots}
    for before, now, _, decision, _ in decided(opening, schedule):
        for event in () if isinstance(decision, Rejection) else decision:
            for part in getattr(event, "lots", []):
                assert expiries[part.lot] is None or now < expiries[part.lot]
        for event in expire_due(before, now):
            assert event.expires_at == expiries[event.lot] <= now


@thorough
@given(st.lists(st.tuples(small, moments), min_size=1, max_size=8), moments)
def test_what_expires_and_what_stays_is_everything(grants, at):
    wallet = fold(None, _granted(grants))
    gone = sum(event.amount for event in expire_due(wallet, at))
    stays = sum(amount for amount, expires_at in grants if expires_at > at)
    assert (gone + worth(wallet, at), worth(wallet, at)) == (wallet.balance, stays)


def _granted(grants):
    yield opened()
    before = 0
    for lot, (amount, expires_at) in enumerate(grants, 2):
        yield credited(amount, lot=lot, before=before, expires_at=expires_at)
        before += amount
