"""PostgreSQL or Kafka goes away under load and comes back: the engine goes on by itself."""

import asyncio
from typing import Literal

import asyncpg
import pytest

from cli.stack import Stack
from tests.support.engines import Service
from tests.support.payloads import create, topup

W = "wal_a1"
COUNT = 400


async def load(running: Service) -> None:
    await running.send_commands(create(W), wallet_id=W)
    for first in range(0, COUNT, 20):
        topups = [topup(W, f"t{number}", 1) for number in range(first, first + 20)]
        await running.send_commands(*topups, wallet_id=W)


async def reconnect(running: Service) -> None:
    await running.database.close()
    running.database = await asyncpg.connect(running.settings.database_url)


@pytest.mark.parametrize("away", ["postgres", "kafka"])
async def test_an_outage_under_load_loses_and_doubles_nothing(
    running: Service, stack: Stack, away: Literal["postgres", "kafka"]
) -> None:
    part = stack.postgres if away == "postgres" else stack.kafka
    async with running.engine(batch_commands_max=5):
        sending = asyncio.create_task(load(running))
        await running.until("SELECT next_offset > 10 FROM shards WHERE shard = 0")
        try:
            await part.kill()
        finally:
            await part.start()
        if away == "postgres":
            await reconnect(running)
        await sending
        await running.decided(timeout_s=60)
        await running.until(
            "SELECT published = position FROM shards WHERE shard = 0", timeout_s=30
        )
    entries = await running.entries()
    assert [entry.event.reference for entry in entries] == [
        "create",
        *(f"t{number}" for number in range(COUNT)),
    ]
    values = [record.value for record in (await running.published())[0]]
    rows = await running.database.fetch("SELECT data FROM log ORDER BY position")
    assert list(dict.fromkeys(values)) == [row["data"] for row in rows]
