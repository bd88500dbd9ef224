"""Measure where the processor time of filling the read models goes, statement by statement.

What the session's process in PostgreSQL has worked is counted, not the clock on the wall, so that
what else the machine does matters little. Beside each model stands the COPY of the same rows.

python -m bench.fill_cost [--range N] [--scale S] [--json FILE]
"""

import argparse
import sys
from collections import defaultdict
from io import BytesIO

import asyncpg
import psutil

from bench.filled_log import filled_log
from bench.report import run_report
from bench.session import Bench
from engine.replay import shard_sizes
from projections.models import PROJECTIONS, Projection
from projections.projector import RANGE_ENTRIES_MAX
from projections.session import connected

_GENERATION = 1_000
"""Far from those that readers have."""

Costs = dict[str, float]
"""Microseconds of processor time an entry, by statement."""


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


async def measure(session: _Session, model: Projection, range_entries: int) -> Costs:
    """A generation that nobody sees is filled as the projector does it, and copied."""
    connection, table = session.connection, model.table(_GENERATION)
    session.seconds.clear()
    names = [name for name in model.queries if name.startswith("apply")]
    sizes = await shard_sizes(connection)
    await connection.execute(model.create_table(_GENERATION))
    for shard, size in sizes.items():
        for start in range(0, size, range_entries):
            async with connection.transaction():
                for name, statement in zip(names, model.apply(_GENERATION), strict=True):
                    stop = min(size, start + range_entries)
                    await session.execute(name, statement, shard, start, stop)
    indexes = model.create_indexes(_GENERATION)
    if indexes:
        await session.execute("indexes", indexes)
    rows = BytesIO()
    await connection.copy_from_table(table, output=rows, format="binary")
    await connection.execute(f"DROP TABLE {table}")
    await connection.execute(model.create_table(_GENERATION))
    await session.copy("COPY", table, rows.getvalue())
    if indexes:
        await session.execute("COPY", indexes)
    await connection.execute(f"DROP TABLE {table}")
    return {name: 1e6 * spent / sum(sizes.values()) for name, spent in session.seconds.items()}


async def main(bench: Bench, options: argparse.Namespace) -> dict[str, Costs]:
    """Prints a line for each statement of each model."""
    site = await bench.prepared(filled_log)
    url = site.settings.database_url
    costs = {}
    async with connected(url, "bench", timeout_ms=None) as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        session = _Session(connection, psutil.Process(pid))
        for model in PROJECTIONS.values():
            costs[model.name] = await measure(session, model, options.range)
    print("\n| model | statement | us an entry |\n|---|---|--:|")
    for name, by_statement in costs.items():
        for statement, cost in by_statement.items():
            print(f"| {name} | {statement} | {cost:.1f} |")
    copied = sum(each["COPY"] for each in costs.values())
    filled = sum(sum(each.values()) for each in costs.values()) - copied
    print(f"| all | filled | {filled:.1f} |\n| all | COPY | {copied:.1f} |")
    return costs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.fill_cost", description=__doc__)
    parser.add_argument(
        "--range", type=int, default=RANGE_ENTRIES_MAX, help="entries a transaction (%(default)s)"
    )
    sys.exit(run_report(main, parser))
