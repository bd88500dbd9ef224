"""Measure how long the proofs of a bundle take on a large shard, out of the stored tiles.

A shard's tiles are made up, in a PostgreSQL of its own: the leaves are random, the tree over them
is not. Then proofs are made for entries all over it, as for a wallet's bundle, by the code that
`wallet audit` runs, and each is verified against the root.

python -m bench.audit_proofs [--entries N] [--runs N] [--json FILE]
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from audit.wallet_history import prove_entries
from bench.log_tree import store_tree
from bench.results import write_json
from cli.stack.ports import free_port
from cli.stack.postgres import Postgres
from engine.merkle import (
    HASH_BYTES,
    TILE_WIDTH,
    inclusion_proof,
    tiles_read_by,
    verify_inclusion,
)
from engine.migrate import migrate

SHARD = 0
PROVEN = (1, 10, 100, 1_000)
_CHUNK_LEAVES = 65_536
_SEED = 10_000_000


@asynccontextmanager
async def database() -> AsyncIterator[asyncpg.Connection]:
    """An empty one, in a PostgreSQL that is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="wallet-bench-") as name:
        directory = Path(name)
        postgres = Postgres(
            directory / "postgres",
            port=free_port(),
            log_path=directory / "postgres.log",
            run_dir=directory,
        )
        try:
            await postgres.start()
            await migrate(postgres.database_url)
            connection = await asyncpg.connect(postgres.database_url)
            try:
                yield connection
            finally:
                await connection.close()
        finally:
            await postgres.stop()


def leaves(tile: int) -> list[bytes]:
    """The random hashes of this tile of the lowest level; the same each time."""
    joined = random.Random(_SEED + tile).randbytes(TILE_WIDTH * HASH_BYTES)
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


async def all_leaves(entries: int) -> AsyncIterator[list[bytes]]:
    """The hashes of so many leaves, in chunks."""
    for start in range(0, entries, _CHUNK_LEAVES):
        hashes = []
        for tile in range(start, min(start + _CHUNK_LEAVES, entries), TILE_WIDTH):
            hashes += leaves(tile // TILE_WIDTH)[: entries - tile]
        yield hashes


async def prove(
    connection: asyncpg.Connection, positions: list[int], size: int, root: bytes
) -> tuple[float, float]:
    """Milliseconds for the proofs of these entries, and how many of them this process computed."""
    start, worked = time.perf_counter(), time.process_time()
    proofs = await prove_entries(connection, SHARD, size, positions)
    took = 1_000 * (time.perf_counter() - start), 1_000 * (time.process_time() - worked)
    for position, proof in zip(positions, proofs, strict=True):
        tile, place = divmod(position, TILE_WIDTH)
        if not verify_inclusion(leaves(tile)[place], position, size, proof, root):
            raise SystemExit(f"the proof of position {position} does not lead to the root")
    return took


def tiles_read(positions: list[int], size: int) -> int:
    """How many tiles the proofs of these entries are made of."""
    return len(
        tiles_read_by(
            lambda node: [inclusion_proof(position, size, node) for position in positions]
        )
    )


async def main(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints a line for each number of entries."""
    async with database() as connection:
        print(f"storing the tiles of {options.entries:,} entries")
        started = time.perf_counter()
        tree = await store_tree(connection, SHARD, all_leaves(options.entries))
        root = tree.root()
        stored = await connection.fetchrow("SELECT count(*), sum(length(hashes)) FROM tiles")
        assert stored is not None
        print(
            f"{stored[0]:,} tiles, {stored[1] / 1e6:,.0f} MB, root {root.hex()[:16]}…, in"
            f" {time.perf_counter() - started:.0f} s\n"
        )
        print(
            f"{'entries proved':>15}{'tiles read':>12}{'median ms':>12}{'slowest ms':>12}"
            f"{'processor ms':>14}"
        )
        draw = random.Random(_SEED)
        results = []
        for count in PROVEN:
            runs = [
                sorted(draw.sample(range(options.entries), count)) for _ in range(options.runs)
            ]
            took = [
                await prove(connection, positions, options.entries, root) for positions in runs
            ]
            result = {
                "entries_proved": count,
                "tiles_read": tiles_read(runs[0], options.entries),
                "median_ms": statistics.median(wall for wall, _ in took),
                "slowest_ms": max(wall for wall, _ in took),
                "median_processor_ms": statistics.median(worked for _, worked in took),
            }
            results.append(result)
            print(
                f"{count:>15,}{result['tiles_read']:>12,}{result['median_ms']:>12,.1f}"
                f"{result['slowest_ms']:>12,.1f}{result['median_processor_ms']:>14,.1f}"
            )
        return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.audit_proofs", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000, help="of the shard")
    parser.add_argument("--runs", type=int, default=5, help="for each number of entries proved")
    parser.add_argument("--json", type=Path, help="write the results to this file as well")
    arguments = parser.parse_args()
    measured = asyncio.run(main(arguments))
    if arguments.json:
        write_json(arguments.json, arguments, measured)
