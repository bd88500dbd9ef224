"""A lease that has failed ends, whatever its parts still wait for."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from engine import lease as lease_module
from engine.keeper import Keeper
from engine.lease import Lease
from engine.log import Append, ShardLog
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


async def test_nothing_is_left_of_what_it_held(
    running: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it stands beside all that the next lease holds, until a collector comes along."""
    working = ShardLog.append
    left: list[weakref.ref[Any]] = []
    deliver = Lease.deliver

    def watched(self: Lease, records: Sequence[Any]) -> None:
        if not failed.is_set():
            left.extend(map(weakref.ref, records))
        deliver(self, records)

    async def fail(log: ShardLog, batch: Append) -> None:
        if batch.from_position == 1 and not failed.is_set():
            # until the next batch is decided and waits, and more is queued
            await asyncio.sleep(0.5)
            failed.set()
            raise OSError("gone")
        await working(log, batch)

    failed = asyncio.Event()
    monkeypatch.setattr(ShardLog, "append", fail)
    async with running.engine(batch_commands_max=20):
        await running.send_commands(create(W), wallet_id=W)
        await running.decided()
        monkeypatch.setattr(Lease, "deliver", watched)
        gc.collect()
        gc.disable()
        try:
            topups = [topup(W, f"t{number}", 1) for number in range(100)]
            await running.send_commands(*topups, wallet_id=W)
            await running.decided()
            assert failed.is_set()
            assert len(left) == 100
            assert [record for record in left if record() is not None] == []
        finally:
            gc.enable()
