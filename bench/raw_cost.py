"""What the durable part of one command costs: an acknowledged produce, then a commit."""

import asyncio
import time
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.latencies import Latencies
from engine.kafka import client_options
from engine.settings import Settings

_RECORD = b"x" * 250
_TABLE = "CREATE TABLE IF NOT EXISTS raw_cost (id bigserial PRIMARY KEY, data bytea NOT NULL)"


async def raw_cost(
    settings: Settings, topic: str, count: int, *, pause_s: float = 0.0
) -> dict[str, Any]:
    """Produce and insert `count` times, one after the other; latencies in milliseconds."""
    producer = AIOKafkaProducer(**client_options(settings), acks="all")
    await producer.start()
    connection = await asyncpg.connect(
        settings.database_url, server_settings={"synchronous_commit": "on"}
    )
    try:
        await connection.execute(_TABLE)
        insert = await connection.prepare("INSERT INTO raw_cost (data) VALUES ($1)")
        produces, commits, both = (Latencies() for _ in range(3))
        for _ in range(count):
            await asyncio.sleep(pause_s)
            start = time.perf_counter()
            await producer.send_and_wait(topic, _RECORD, key=b"raw")
            produced = time.perf_counter()
            await insert.fetch(_RECORD)
            committed = time.perf_counter()
            produces.record(produced - start)
            commits.record(committed - produced)
            both.record(committed - start)
        return {
            **both.median_and_tail(),
            "produce_p50_ms": produces.ms(50),
            "commit_p50_ms": commits.ms(50),
        }
    finally:
        await connection.close()
        await producer.stop()
