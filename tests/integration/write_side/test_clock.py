"""The engine's clock may be wrong, and the process may pause: expiry stays exact."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from schemas.instants import utc_now
from tests.support.engines import Service
from tests.support.payloads import create, topup
from tests.support.polling import poll

W = "wal_a1"


class Clock:
    """The real time and something more."""

    def __init__(self, **ahead: float) -> None:
        self.ahead = timedelta(**ahead)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


def alerts(caplog: pytest.LogCaptureFixture, code: str) -> Callable[[], int]:
    return lambda: sum(code in record.getMessage() for record in caplog.records)


async def test_a_clock_that_is_ahead_appends_nothing_and_alerts(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(hours=1)
    refused = alerts(caplog, "clock_refused")
    async with running.engine(clock=clock):
        await running.send_commands(create(W), topup(W, "t", 5), wallet_id=W)
        await poll(lambda: refused() >= 2)
        assert await running.entries() == []
        assert (await running.shard())["next_offset"] == 0
        clock.ahead = timedelta()
        await running.decided()
    before, after = await running.entries()
    assert before.occurred_at <= after.occurred_at <= utc_now()


async def test_now_never_goes_back(running: Service) -> None:
    clock = Clock(seconds=0.5)
    async with running.engine(clock=clock):
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        clock.ahead = timedelta(seconds=-3)
        await running.send_commands(topup(W, "t1", 5), wallet_id=W)
        await running.decided()
    # a new lease knows it from the row
    async with running.engine(clock=clock):
        await running.send_commands(topup(W, "t2", 5), wallet_id=W)
        await running.decided()
    times = [entry.occurred_at for entry in await running.entries()]
    assert len(times) == 3
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert (await running.shard())["last_at"] >= times[-1]


async def test_what_was_decided_before_a_pause_is_decided_again(
    running: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """To the process, a pause is a moment that is far behind the database's."""
    clock = Clock(minutes=-10)
    refused = alerts(caplog, "clock_refused")
    async with running.engine(clock=clock):
        await running.send_commands(create(W), wallet_id=W)
        await poll(refused)
        clock.ahead = timedelta()
        started = utc_now()
        await running.decided()
    (entry,) = await running.entries()
    assert entry.occurred_at > started - timedelta(seconds=5)
