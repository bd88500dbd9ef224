"""The engine's memory once it has had to do with very many wallets."""

import psutil

from bench.drain import Watch
from bench.figure import Figure, Measurement, at_most
from bench.figures.million_wallets import many_wallets
from bench.load import debits, wallet_ids
from bench.session import Bench, Run
from bench.site import Site

_MIB = 2**20


async def few_wallets(bench: Bench) -> Site:
    """A site where ten thousand wallets have been created and funded."""
    site = await bench.keep_site("few")
    await site.open_wallets(wallet_ids(bench.sizes.few_wallets))
    return site


async def measure(run: Run) -> Measurement:
    """MiB of a new engine's resident memory after as many debits, over many wallets and few."""
    many = await run.bench.prepared(many_wallets)
    few = await run.bench.prepared(few_wallets)
    sizes, tag = run.sizes, f"memory{run.number}"
    return Measurement(
        await _resident_mib(many, sizes.many_wallets, sizes.memory_commands, tag),
        await _resident_mib(few, sizes.few_wallets, sizes.memory_commands, tag),
    )


async def _resident_mib(site: Site, wallets: int, commands: int, tag: str) -> float:
    await site.fill(debits(wallet_ids(wallets), commands, tag))
    async with Watch.of(site.settings) as watch, site.running("engine") as (engine,):
        watch.expect([engine])
        await watch.until_decided(site.sent)
        await watch.until_published()
        return float(psutil.Process(engine.pid).memory_info().rss / _MIB)


FIGURE = Figure(
    name="memory",
    title="resident memory of the engine after a million wallets",
    unit="MiB",
    ceiling="after ten thousand",
    ceiling_unit="MiB",
    goal=at_most(1.3),
    measure=measure,
    expected_s=150,
)
