"""What the durable part of one command costs: an acknowledged produce, then a commit."""

import asyncio
import time
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from hdrh.histogram import HdrHistogram

from engine.kafka import client_options
from engine.settings import Settings

_RECORD = b"x" * 250
_TABLE = "CREATE TABLE IF NOT EXISTS raw_cost (id bigserial PRIMARY KEY, data bytea NOT NULL)"
_LATENCY_US_MAX = 60_000_000


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
        produces, commits, both = (HdrHistogram(1, _LATENCY_US_MAX, 3) for _ in range(3))
        for _ in range(count):
            await asyncio.sleep(pause_s)
            start = time.perf_counter()
            await producer.send_and_wait(topic, _RECORD, key=b"raw")
            produced = time.perf_counter()
            await insert.fetch(_RECORD)
            committed = time.perf_counter()
            produces.record_value(max(1, int((produced - start) * 1e6)))
            commits.record_value(max(1, int((committed - produced) * 1e6)))
            both.record_value(max(1, int((committed - start) * 1e6)))
        return {
            "p50_ms": both.get_value_at_percentile(50) / 1000,
            "p99_ms": both.get_value_at_percentile(99) / 1000,
            "produce_p50_ms": produces.get_value_at_percentile(50) / 1000,
            "commit_p50_ms": commits.get_value_at_percentile(50) / 1000,
        }
    finally:
        await connection.close()
        await producer.stop()
