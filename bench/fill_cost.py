"""Measure the processor time of filling the read models: each by itself, and all together.

What the session's process in PostgreSQL has worked is counted, not the clock on the wall, so that
what else the machine does matters little. Beside it stands the COPY of the same rows.

python -m bench.fill_cost [--range N] [--scale S] [--json FILE]
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from io import BytesIO

import asyncpg
import psutil

from bench.filled_log import filled_log
from bench.report import run_report
from bench.session import Bench
from engine.replay import shard_sizes
from projections.models import PROJECTIONS, Generation, filling
from projections.projector import RANGE_ENTRIES_MAX
from projections.session import connected

_GENERATION = 1_000
"""Far from those that readers have."""

Costs = dict[str, float]
"""Microseconds of processor time an entry, by what was done."""


class _Session:
    """A session and the processor time that its process on the server has taken."""

    def __init__(self, connection: asyncpg.Connection, process: psutil.Process) -> None:
        self.connection = connection
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._process = process

    async def execute(self, name: str, statement: str, *arguments: object) -> None:
        before = self._worked()
        await self.connection.execute(statement, *arguments)
        self.seconds[name] += self._worked() - before

    async def copy(self, name: str, table: str, rows: bytes) -> None:
        before = self._worked()
        await self.connection.copy_to_table(table, source=BytesIO(rows), format="binary")
        self.seconds[name] += self._worked() - before

    def _worked(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


async def measure(session: _Session, models: Sequence[Generation], range_entries: int) -> Costs:
    """Generations that nobody sees are filled as the projector does it, and copied."""
    connection = session.connection
    session.seconds.clear()
    sizes = await shard_sizes(connection)
    await _create(connection, models)
    for shard, size in sizes.items():
        for start in range(0, size, range_entries):
            stop = min(size, start + range_entries)
            async with connection.transaction():
                for statement in filling(models):
                    await session.execute("fill", statement, shard, start, stop)
    await _index(session, "fill", models)
    rows = [await _copy_out(connection, model) for model in models]
    await _drop(connection, models)
    await _create(connection, models)
    for (projection, generation), copied in zip(models, rows, strict=True):
        await session.copy("COPY", projection.table(generation), copied)
    await _index(session, "COPY", models)
    await _drop(connection, models)
    return {name: 1e6 * spent / sum(sizes.values()) for name, spent in session.seconds.items()}


async def _create(connection: asyncpg.Connection, models: Sequence[Generation]) -> None:
    for projection, generation in models:
        await connection.execute(projection.create_table(generation))


async def _index(session: _Session, name: str, models: Sequence[Generation]) -> None:
    for projection, generation in models:
        if indexes := projection.create_indexes(generation):
            await session.execute(name, indexes)


async def _copy_out(connection: asyncpg.Connection, model: Generation) -> bytes:
    rows = BytesIO()
    table = model.projection.table(model.number)
    await connection.copy_from_table(table, output=rows, format="binary")
    return rows.getvalue()


async def _drop(connection: asyncpg.Connection, models: Sequence[Generation]) -> None:
    for projection, generation in models:
        await connection.execute(f"DROP TABLE {projection.table(generation)}")


async def main(bench: Bench, options: argparse.Namespace) -> dict[str, Costs]:
    """Prints a line for each model, and one for all of them filled together."""
    site = await bench.prepared(filled_log)
    url = site.settings.database_url
    models = [Generation(projection, _GENERATION) for projection in PROJECTIONS.values()]
    costs = {}
    async with connected(url, "bench", timeout_ms=None) as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        session = _Session(connection, psutil.Process(pid))
        for model in models:
            costs[model.projection.name] = await measure(session, [model], options.range)
        costs["all together"] = await measure(session, models, options.range)
    print("\n| model | filled, us an entry | COPY, us an entry |\n|---|--:|--:|")
    for name, cost in costs.items():
        print(f"| {name} | {cost['fill']:.1f} | {cost['COPY']:.1f} |")
    return costs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.fill_cost", description=__doc__)
    parser.add_argument(
        "--range", type=int, default=RANGE_ENTRIES_MAX, help="entries a transaction (%(default)s)"
    )
    sys.exit(run_report(main, parser))
