"""A ledger as many write it by hand: two tables, and one statement a debit, by asyncpg.

As quick as that gets: prepared, one round trip and one commit a debit, the balance's row locked
only while its entry is inserted, room left in the pages for updates that touch no index, uvloop.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from bench.load import DESCRIPTION, FUNDS
from bench.peers.workload import (
    Pace,
    Tally,
    debit,
    peer_parser,
    print_results,
)
from engine.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))


async def work(
    connection: asyncpg.Connection, numbers: Iterator[int], accounts: int, pace: Pace
) -> Tally:
    """Make the next debit, again and again."""
    statement = await connection.prepare(_QUERIES["debit"])
    tally = Tally()
    for number in numbers:
        due = pace.time_of(number)
        if due is None:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        made = debit(number, accounts)
        balance = await statement.fetchval(made.account, made.amount, made.reference, DESCRIPTION)
        if balance is None:
            raise RuntimeError(f"debit {number} was refused")
        tally.done(made.amount, due)
    return tally


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Debits by so many connections, and the balances held against them."""
    pool = [await asyncpg.connect(arguments.database_url) for _ in range(arguments.connections)]
    first = pool[0]
    try:
        await first.execute(_QUERIES["create_tables"])
        await first.execute(_QUERIES["open"], arguments.accounts, FUNDS)
        pace, numbers, tally = Pace(arguments.seconds, arguments.rate), itertools.count(), Tally()
        for each in await asyncio.gather(
            *(work(connection, numbers, arguments.accounts, pace) for connection in pool)
        ):
            tally.add(each)
        seconds = pace.elapsed_s
        rows = await first.fetch(_QUERIES["balances"], FUNDS)
        tally.check([row["balance"] for row in rows], arguments.accounts)
        return tally.results(seconds)
    finally:
        for connection in pool:
            await connection.close()


if __name__ == "__main__":
    parser = peer_parser("bench.peers.plain_sql", __doc__)
    parser.add_argument("--connections", type=int, default=8)
    print_results(uvloop.run(measure(parser.parse_args())))
