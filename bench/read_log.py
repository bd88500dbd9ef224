"""The ceiling of a proof: reading the log by asyncpg and decoding it, and nothing else.

    python -m bench.read_log DATABASE_URL SHARD ...

One process; prints how many entries it read, and in how many seconds.
"""

import argparse
import asyncio
import json
import time

import asyncpg

from engine.replay import read_shard, shard_sizes
from projections.verification.shard import PAGE_ENTRIES
from schemas.entries import decode_entry


async def read_log(database_url: str, shards: list[int]) -> dict[str, float]:
    """Reads these shards in pages as a proof does, and decodes every entry."""
    connection = await asyncpg.connect(database_url)
    try:
        sizes = await shard_sizes(connection)
        entries = 0
        start = time.perf_counter()
        for shard in shards:
            async for rows in read_shard(connection, shard, 0, sizes[shard], PAGE_ENTRIES):
                entries += len([decode_entry(row["data"]) for row in rows])
        return {"entries": entries, "seconds": time.perf_counter() - start}
    finally:
        await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.read_log", description=__doc__)
    parser.add_argument("database_url")
    parser.add_argument("shards", type=int, nargs="+", metavar="SHARD")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(read_log(options.database_url, options.shards))))
