"""The state after an event is worked out once, and anew wherever anything is otherwise."""

import copy

import pytest

from engine.decider import evolve
from engine.wallet import HistoryError
from projections.verification import evolving
from projections.verification.evolving import OnceEvolved
from tests.support.history import HistoryBuilder


@pytest.fixture
def applied(monkeypatch) -> list:
    events = []

    def counted(wallet, event):
        events.append(event)
        return evolve(wallet, event)

    monkeypatch.setattr(evolving, "evolve", counted)
    return events


def test_it_is_worked_out_once_from_equal_states(applied):
    created, topped_up = [
        entry.event for entry in HistoryBuilder().create("wal_a").topup("wal_a", 5).entries
    ]
    once = OnceEvolved()
    wallet = once(None, created)
    assert once(None, created) is wallet
    assert once(copy.copy(wallet), topped_up) == once(wallet, topped_up)
    assert applied == [created, topped_up]
    once.forget()
    assert once(None, created) == wallet
    assert len(applied) == 3


def test_another_state_or_an_equal_event_is_not_taken_for_it(applied):
    created, topped_up, debited = [
        entry.event
        for entry in HistoryBuilder().create("wal_a").topup("wal_a", 5).debit("wal_a", 5).entries
    ]
    once = OnceEvolved()
    opened = once(None, created)
    funded = once(opened, topped_up)
    with pytest.raises(HistoryError):
        once(funded, topped_up)
    assert once(opened, copy.copy(topped_up)) == funded
    assert once(funded, debited).balance == 0
    assert applied == [created, topped_up, topped_up, topped_up, debited]
