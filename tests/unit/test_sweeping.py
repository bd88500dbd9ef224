"""Sweeps go on, whatever one of them stumbles over."""

import asyncio
from typing import Any

import pytest

from api import sweeping


async def test_a_sweep_that_fails_ends_neither_itself_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    swept: list[str] = []
    third_time = asyncio.Event()

    async def stumbles(_: Any) -> None:
        swept.append("stumbles")
        raise ValueError("a row from another world")

    async def goes_on(_: Any) -> None:
        swept.append("goes on")
        if len(swept) == 6:
            third_time.set()

    monkeypatch.setattr(sweeping, "SWEEPS", (stumbles, goes_on))
    monkeypatch.setattr(sweeping, "_INTERVAL_S", 0)
    services: Any = None
    sweep = asyncio.create_task(sweeping.sweep(services))
    done, _ = await asyncio.wait(
        {sweep, asyncio.ensure_future(third_time.wait())},
        timeout=5,
        return_when=asyncio.FIRST_COMPLETED,
    )
    assert done
    assert not sweep.done()
    sweep.cancel()
    assert "a row from another world" in caplog.text
