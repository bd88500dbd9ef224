"""The first debit of a wallet with a long history."""

import statistics

from bench.figure import Figure, Measurement, at_most
from bench.load import debit, debits, opening
from bench.session import Bench, Run
from bench.single_commands import SingleCommands
from bench.site import Site

SHORT_WALLET_ENTRIES = 10
_LONG, _OTHER = "wal_long", "wal_other"
_WARM_UP = 5
_COLD = {"WALLET_CACHED_WALLETS_MAX": "1"}
"""With another wallet's debit in between, every debit finds the cache without its wallet."""


async def long_wallet(bench: Bench) -> Site:
    """One partition, and a wallet in it that has come to so many entries by commands."""
    entries = bench.sizes.long_wallet_entries
    bench.say(f"debiting one wallet until it has {entries:,} entries")
    site = await bench.keep_site("long", partitions=1)
    await site.open_wallets([_LONG, _OTHER])
    await site.fill(debits([_LONG], entries - 2, "early"))
    await site.work_off()
    return site


async def measure(run: Run) -> Measurement:
    """Milliseconds from sending to committed, medians, turn and turn about."""
    site = await run.bench.prepared(long_wallet)
    count = run.sizes.cold_loads
    short = [f"wal_short{run.number}x{number:03d}" for number in range(_WARM_UP + count)]
    await site.fill(opening(short))
    await site.fill(debits(short, len(short) * (SHORT_WALLET_ENTRIES - 2), "early"))
    await site.work_off()
    long_ms, short_ms = [], []
    async with site.running("engine", env=_COLD), SingleCommands.of(site.settings) as commands:
        for number, short_id in enumerate(short):
            tag = f"cold{run.number}_{number:03d}"
            times = []
            for wallet_id in (_LONG, short_id):
                await commands.time(debit(_OTHER, f"{tag}_{wallet_id}", 1))
                times.append(1000 * await commands.time(debit(wallet_id, tag, 1)))
                site.sent += 2
            if number >= _WARM_UP:
                long_ms.append(times[0])
                short_ms.append(times[1])
    await site.expect_published()
    return Measurement(
        statistics.median(long_ms),
        statistics.median(short_ms),
        {"slowest_ms": max(long_ms), "slowest_of_short_ms": max(short_ms), "loads": count},
    )


FIGURE = Figure(
    name="long-wallet",
    title="first debit of a wallet with 1,000,000 entries, median of 50 cold loads",
    unit="ms",
    ceiling="the same of one with 10",
    ceiling_unit="ms",
    goal=at_most(1.1),
    measure=measure,
    expected_s=60,
)
