"""What a schedule of commands makes of a wallet, step by step and event by event."""

from engine.decider import decide, evolve, expire_due
from schemas.rejections import Rejection
from tests.support.wallet_commands import timed


def fold(wallet, events):
    for event in events:
        wallet = evolve(wallet, event)
    return wallet


def decided(opening, schedule):
    """Decide as an engine does: (state before, moment, command, decision, state after)."""
    wallet = evolve(None, opening)
    for now, command in timed(schedule):
        before = wallet
        wallet = fold(wallet, expire_due(wallet, now))
        decision = decide(wallet, command, now)
        if not isinstance(decision, Rejection):
            wallet = fold(wallet, decision)
        yield before, now, command, decision, wallet


def final(opening, schedule):
    """The state that a schedule ends in."""
    return [evolve(None, opening), *(step[-1] for step in decided(opening, schedule))][-1]


def history(opening, schedule):
    """Every event of a schedule with the state after it, the opening first."""
    wallet = evolve(None, opening)
    yield opening, wallet
    for before, now, _, decision, _ in decided(opening, schedule):
        made = () if isinstance(decision, Rejection) else decision
        wallet = before
        for event in (*expire_due(before, now), *made):
            wallet = evolve(wallet, event)
            yield event, wallet
