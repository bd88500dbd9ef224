"""Measure debits a second on what people would use instead, and on ours, in the same run.

Each system makes the same debits, on 1,000 funded accounts and on one, on the same PostgreSQL with
durable settings, one after the other. A peer runs with the quickest of its settings; all balances
are added up at the end of every run. Latencies are at half of the system's own top rate, open-loop.

python -m bench.peers [--runs N] [--scale S] [--json FILE]
"""

import argparse
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.errors import BenchError
from bench.peers import wallet_engine
from bench.peers.published import PUBLISHED
from bench.peers.runs import Length, Outcome, Peer, Peers, Setting
from bench.report import run_report
from bench.session import Bench

ACCOUNTS = (1_000, 1)

PLAIN_SQL = Peer(
    "plain SQL by asyncpg",
    "bench.peers.plain_sql",
    tuple(
        Setting(f"{count} connections", ("--connections", str(count)))
        for count in (1, 2, 4, 8, 16, 32, 64)
    ),
)


def event_sourcing(accounts: int) -> Peer:
    """More threads than accounts would have nothing to do."""
    try:
        release = version("eventsourcing")
    except PackageNotFoundError:
        raise BenchError(
            "pyeventsourcing is not installed: run make setup, or install what pyproject.toml names"
            " as bench-peers"
        ) from None
    return Peer(
        f"pyeventsourcing {release}",
        "bench.peers.event_sourcing",
        tuple(
            Setting(
                f"{threads} threads, cache{', functions' if functions else ''}",
                ("--threads", str(threads), *functions),
            )
            for threads in (1, 2, 4, 8)
            if threads <= accounts
            for functions in ((), ("--functions",))
        ),
    )


Outcomes = dict[int, list[Outcome]]


async def measure(bench: Bench, runs: int, scale: float) -> Outcomes:
    """By the number of accounts; ours comes first."""
    length = Length(3 * scale, 10 * scale, 10 * scale)
    peers = Peers(bench.stack.database_url, runs, length, bench.say)
    return {
        accounts: [
            await wallet_engine.measure(bench, accounts, runs, length.half_s),
            await peers.measure(PLAIN_SQL, accounts),
            await peers.measure(event_sourcing(accounts), accounts),
        ]
        for accounts in ACCOUNTS
    }


def print_outcomes(outcomes: Outcomes) -> None:
    """Ours first, and beside each other one how many times as much ours is."""
    for accounts, found in outcomes.items():
        table = Table(
            title=f"debits on {accounts:,} funded accounts", title_justify="left", box=None
        )
        for name in ("", "with"):
            table.add_column(name)
        for name in ("debits/s", "spread", "p50 ms", "p99 ms", "ours is"):
            table.add_column(name, justify="right", no_wrap=True)
        ours = found[0]
        for each in found:
            times = "" if each is ours else f"{ours.debits_per_s / each.debits_per_s:,.1f} times"
            table.add_row(
                each.system,
                each.setting,
                f"{each.debits_per_s:,.0f}",
                f"{min(each.tops):,.0f}-{max(each.tops):,.0f}",
                f"{each.half.p50_ms:.1f}",
                f"{each.half.p99_ms:.1f}",
                times,
            )
        _console().print("", table)
    print("\nmedians and spread of the runs; latencies at half of the system's own rate")


def print_published() -> None:
    """Not measured here, and not on this machine."""
    table = Table(title="what others are said to do", title_justify="left", box=None)
    for name in ("", "per second", "conditions", "source"):
        table.add_column(name)
    for each in PUBLISHED:
        table.add_row(*each)
    _console().print("", table)


def _console() -> Console:
    return Console(width=150, highlight=False)


async def main(bench: Bench, options: argparse.Namespace) -> dict[int, list[dict[str, Any]]]:
    """Measures and prints."""
    outcomes = await measure(bench, options.runs, options.scale)
    print_outcomes(outcomes)
    print_published()
    return {accounts: [asdict(each) for each in found] for accounts, found in outcomes.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each (%(default)s)")
    sys.exit(run_report(main, parser))
