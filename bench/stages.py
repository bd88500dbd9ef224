"""Measure where the time of one debit goes while nothing else is asked for.

Debits are sent one at a time: past the API, stage by stage as the API does it, and over HTTP.
Beside them stands the raw cost of one acknowledged produce and one commit, in the same run.

python -m bench.stages [--count N] [--wallets N] [--json FILE]
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.hints import Hints
from bench.http import RAW_TOPIC, running_service
from bench.latencies import Latencies
from bench.load import debits, wallet_ids
from bench.raw_cost import raw_cost
from bench.results import write_json
from engine.kafka import client_options
from engine.receipts import Receipt, resolve
from engine.settings import Settings
from schemas.commands import decode_command

STAGES = ("produced and acknowledged", "decided, committed, notified", "outcome looked up")


async def measure_stages(
    settings: Settings, commands: Iterable[tuple[str, bytes]]
) -> dict[str, Latencies]:
    """The stages of each command."""
    producer = AIOKafkaProducer(**client_options(settings), acks="all")
    await producer.start()
    connection = await asyncpg.connect(settings.database_url)
    latencies = {stage: Latencies() for stage in STAGES}

    async def timed(stage: str, work: Awaitable[Any]) -> Any:
        start = time.perf_counter()
        result = await work
        latencies[stage].record(time.perf_counter() - start)
        return result

    try:
        async with Hints.of(settings.database_url) as hints:
            for wallet_id, payload in commands:
                record = await timed(
                    STAGES[0],
                    producer.send_and_wait(
                        settings.commands_topic, payload, key=wallet_id.encode()
                    ),
                )
                receipt = Receipt(decode_command(payload), record.partition, record.offset)
                await timed(STAGES[1], hints.wait(*receipt.place))
                await timed(STAGES[2], resolve(connection, receipt))
    finally:
        await connection.close()
        await producer.stop()
    return latencies


async def measure(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median and 99th percentile in milliseconds: raw, each stage, and over HTTP."""
    async with running_service(arguments.wallets) as service:
        one_at_a_time = ("--wallets", arguments.wallets, "--rate", 0)
        await service.load(*one_at_a_time, "--count", arguments.wallets, "--tag", "warm")
        raw = await raw_cost(service.settings, RAW_TOPIC, arguments.count)
        commands = debits(wallet_ids(arguments.wallets), arguments.count, "stages")
        stages = await measure_stages(service.settings, commands)
        over_http = await service.load(*one_at_a_time, "--count", arguments.count, "--tag", "http")
    figures = {"raw: produce, then commit": raw}
    for stage, latencies in stages.items():
        figures[stage] = latencies.median_and_tail()
    return figures | {"debit over HTTP": over_http}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="debits one at a time")
    parser.add_argument("--wallets", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args()
    measured = asyncio.run(measure(options))
    print(f"{'':34}{'p50 ms':>9}{'p99 ms':>9}")
    for name, figure in measured.items():
        print(f"{name:34}{figure['p50_ms']:>9.2f}{figure['p99_ms']:>9.2f}")
    if options.json:
        write_json(options.json, options, measured)
