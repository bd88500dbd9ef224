"""A lease that has failed ends, whatever its parts still wait for."""

import asyncio

import pytest

from engine import lease as lease_module
from engine.keeper import Keeper
from tests.support.engines import Service
from tests.support.payloads import create, topup

W = "wal_a1"


async def test_a_part_that_does_not_end_holds_up_no_claim(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_FINISH_S", 0.1)
    released = asyncio.Event()

    async def deaf(_: Keeper) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()

    monkeypatch.setattr(Keeper, "run", deaf)
    async with running.engine():
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        await running.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'wallet-engine append'"
        )
        await running.send_commands(topup(W, "t1", 5), wallet_id=W)
        try:
            await running.decided(timeout_s=10)
        finally:
            released.set()
    assert len(await running.entries()) == 2
