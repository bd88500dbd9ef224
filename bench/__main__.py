"""Measure commands per second, each figure beside its ceiling in the same run.

python -m bench [--commands N] [--runs N] [--engines N] [--json FILE]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.ceiling import read_rows, rows_per_second
from bench.load import debits, fill, opening, wallet_ids
from bench.results import write_json
from cli.stack import Stack
from engine.migrate import migrate
from engine.settings import Settings
from engine.topics import create_topics

Results = dict[str, list[dict[str, float]]]

BATCH_ROWS = 4_000
CONNECTIONS = (1, 2, 4)
_ENGINE = [sys.executable, "-m", "cli.main", "engine"]


async def progress(database: asyncpg.Connection) -> tuple[int, int]:
    """(commands decided, entries committed) over all shards."""
    row = await database.fetchrow(
        "SELECT sum(next_offset)::bigint, sum(position)::bigint FROM shards"
    )
    assert row is not None
    return row[0] or 0, row[1] or 0


async def published(topics: AIOKafkaConsumer, settings: Settings) -> int:
    """How many entries stand on the events topic."""
    places = [
        TopicPartition(settings.events_topic, number) for number in range(settings.partitions)
    ]
    return sum((await topics.end_offsets(places)).values())


async def drain(
    stack: Stack, settings: Settings, until: int, engines: int, run_name: str
) -> float:
    """Commands per second from the first commit seen to the last entry published."""
    database = await asyncpg.connect(settings.database_url)
    topics = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    await topics.start()
    decided, _ = await progress(database)
    before = decided
    processes = [
        stack.spawn(
            f"{run_name}-{number}",
            _ENGINE,
            env={
                "WALLET_COMMANDS_TOPIC": settings.commands_topic,
                "WALLET_EVENTS_TOPIC": settings.events_topic,
                "WALLET_DEAD_LETTERS_TOPIC": settings.dead_letters_topic,
                "WALLET_GROUP": settings.group,
                "WALLET_DATABASE_URL": settings.database_url,
            },
        )
        for number in range(engines)
    ]
    try:
        while decided == before:
            await asyncio.sleep(0.005)
            decided, _ = await progress(database)
        start, counted_from = time.perf_counter(), decided
        entries = 0
        while decided < until or await published(topics, settings) < entries:
            await asyncio.sleep(0.01)
            decided, entries = await progress(database)
        finished = time.perf_counter()
        if any(not process.running for process in processes):
            raise RuntimeError(f"an engine died: {processes[0].log_tail(20)}")
        return (until - counted_from) / (finished - start)
    finally:
        for process in processes:
            await process.stop()
        await topics.stop()
        await database.close()


async def measure(
    stack: Stack, run: int, wallets: int, commands: int, engines: int
) -> dict[str, float]:
    tag = f"w{wallets}r{run}"
    admin = await asyncpg.connect(stack.database_url)
    await admin.execute(f"CREATE DATABASE bench_{tag}")
    url = stack.database_url.rpartition("/")[0] + f"/bench_{tag}"
    settings = Settings(
        database_url=url,
        kafka_bootstrap=stack.kafka_bootstrap,
        commands_topic=f"{tag}.commands",
        events_topic=f"{tag}.events",
        dead_letters_topic=f"{tag}.dead-letters",
        group=tag,
    )
    await migrate(url)
    await create_topics(settings)
    ids = wallet_ids(wallets)
    sent = await fill(settings, opening(ids))
    await drain(stack, settings, sent, 1, f"{tag}-open")
    sent += await fill(settings, debits(ids, commands, tag))
    rate = await drain(stack, settings, sent, engines, f"{tag}-debit")
    batches = await read_rows(url, commands, BATCH_ROWS)
    ceilings = {
        connections: await rows_per_second(stack.database_url, batches, connections)
        for connections in CONNECTIONS
    }
    await admin.execute(f"DROP DATABASE bench_{tag} WITH (FORCE)")
    await admin.close()
    best = max(ceilings, key=lambda connections: ceilings[connections])
    return {
        "commands_per_s": rate,
        "ceiling_rows_per_s": ceilings[best],
        "ceiling_connections": best,
        "ratio": rate / ceilings[best],
    }


FIGURES = {"5,000 wallets": 5_000, "one wallet": 1}


async def main(arguments: argparse.Namespace) -> Results:
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as directory:
        async with Stack(Path(directory)) as stack:
            for name, wallets in FIGURES.items():
                for run in range(arguments.runs):
                    result = await measure(
                        stack, run, wallets, arguments.commands, arguments.engines
                    )
                    results.setdefault(name, []).append(result)
                    print(f"{name}, run {run + 1}: {describe(result)}", flush=True)
    print(f"\n{'figure':16}{'commands/s':>14}{'ceiling rows/s':>18}{'ratio':>8}{'spread':>16}")
    for name, runs in results.items():
        ratios = [run["ratio"] for run in runs]
        print(
            f"{name:16}{statistics.median(run['commands_per_s'] for run in runs):>14,.0f}"
            f"{statistics.median(run['ceiling_rows_per_s'] for run in runs):>18,.0f}"
            f"{statistics.median(ratios):>8.2f}{f'{min(ratios):.2f}-{max(ratios):.2f}':>16}"
        )
    return results


def describe(result: dict[str, float]) -> str:
    return (
        f"{result['commands_per_s']:,.0f} commands/s, ceiling {result['ceiling_rows_per_s']:,.0f}"
        f" rows/s by {result['ceiling_connections']:.0f} connections: {result['ratio']:.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--commands", type=int, default=200_000, help="debits per run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    options = parser.parse_args()
    measured = asyncio.run(main(options))
    if options.json:
        write_json(options.json, options, measured)
