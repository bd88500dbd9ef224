"""Measure the bytes that one command leaves behind: in tables, indexes, WAL and topics.

First an engine works the commands off alone, then a projector takes what came of them into the read
models, so that the WAL of each can be told apart. A checkpoint comes before either: whole pages are
written into the WAL after it, as they are in production.

python -m bench.footprint [--scale S] [--json FILE]
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import debits, wallet_ids
from bench.report import run_report
from bench.session import Bench
from bench.site import Site
from engine.sql import load_queries

_QUERIES = load_queries(Path(__file__).with_suffix(".sql"))
_LOG = "log"

Bytes = dict[str, float]


class Footprint(NamedTuple):
    """Bytes so far."""

    tables: dict[str, int]
    indexes: dict[str, int]
    commands_topic: int
    events_topic: int
    wal: int


async def footprint(site: Site) -> Footprint:
    """What stands on the disk for this site, and the server's WAL since ever."""
    async with site.database() as database:
        rows = await database.fetch(_QUERIES["sizes"])
        wal = await database.fetchval(_QUERIES["wal"])
    settings = site.settings
    return Footprint(
        {row["name"]: row["table_bytes"] for row in rows},
        {row["name"]: row["index_bytes"] for row in rows},
        _topic_bytes(site.stack.data_dir, settings.commands_topic),
        _topic_bytes(site.stack.data_dir, settings.events_topic),
        wal,
    )


def _topic_bytes(data_dir: Path, topic: str) -> int:
    segments = (data_dir / "kafka" / "data").glob(f"{topic}-*/*.log")
    return sum(segment.stat().st_size for segment in segments)


def per_command(
    before: Footprint, decided: Footprint, projected: Footprint, commands: int
) -> Bytes:
    """Bytes a command, by what they are for."""
    models = [name for name in projected.tables if name != _LOG]
    grown = {
        "log: table": decided.tables[_LOG] - before.tables[_LOG],
        "log: indexes": decided.indexes[_LOG] - before.indexes[_LOG],
        "engine's other tables and indexes": _all_but_log(decided) - _all_but_log(before),
        "read models: tables": _growth(decided.tables, projected.tables, models),
        "read models: indexes": _growth(decided.indexes, projected.indexes, models),
        "WAL of the engine": decided.wal - before.wal,
        "WAL of the projector": projected.wal - decided.wal,
        "topic of commands": decided.commands_topic - before.commands_topic,
        "topic of events": decided.events_topic - before.events_topic,
    }
    return {name: size / commands for name, size in grown.items()}


def _all_but_log(each: Footprint) -> int:
    sizes = (*each.tables.items(), *each.indexes.items())
    return sum(size for name, size in sizes if name != _LOG)


def _growth(before: dict[str, int], after: dict[str, int], names: list[str]) -> int:
    return sum(after[name] - before[name] for name in names)


async def main(bench: Bench, _options: argparse.Namespace) -> dict[str, Any]:
    """Prints a line for each kind."""
    sizes = bench.sizes
    wallets = wallet_ids(sizes.wallets)
    async with bench.site("footprint") as site:
        await site.open_wallets(wallets)
        async with site.running("projector"):
            await site.settle()
        before = await footprint(site)
        await site.fill(debits(wallets, sizes.commands, "footprint"))
        await site.drain()
        decided = await footprint(site)
        async with site.database() as database, site.running("projector"):
            await database.execute("CHECKPOINT")
            await site.settle()
        projected = await footprint(site)
    left = per_command(before, decided, projected, sizes.commands)
    print(f"\n{'bytes a command':36}{'':>8}")
    for name, size in left.items():
        print(f"{name:36}{size:>8,.0f}")
    return left


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__)
    sys.exit(run_report(main, parser))
