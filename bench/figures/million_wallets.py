"""A load over a million wallets that are not in the cache, with repeats and refusals."""

from bench.errors import BenchError
from bench.figure import Figure, Measurement, at_least
from bench.figures.uniform import measure_uniform
from bench.load import mixed, repeats_in, wallet_ids
from bench.session import Bench, Run
from bench.site import Site


async def many_wallets(bench: Bench) -> Site:
    """A site where a million wallets have been created and funded."""
    count = bench.sizes.many_wallets
    bench.say(f"opening {count:,} wallets")
    site = await bench.keep_site("many")
    await site.open_wallets(wallet_ids(count))
    return site


async def measure(run: Run) -> Measurement:
    """A new engine each time, with nothing in its cache, and a wallet's turn comes once in a run."""
    uniform = await run.shared(measure_uniform)
    site = await run.bench.prepared(many_wallets)
    count = run.sizes.commands
    wallets = wallet_ids(run.sizes.many_wallets)
    await site.fill(mixed(wallets, run.number * count, count, f"mixed{run.number}"))
    drained = await site.drain()
    if drained.entries != count - repeats_in(count):
        raise BenchError(f"{drained.entries} entries came of {count} commands with known repeats")
    return Measurement(drained.commands_per_s, uniform.value, drained._asdict())


FIGURE = Figure(
    name="million-wallets",
    title="the same with a million wallets, cold cache, 16 % duplicates and 10 % rejections",
    unit="commands/s",
    ceiling="the uniform figure",
    ceiling_unit="commands/s",
    goal=at_least(0.6),
    measure=measure,
    expected_s=120,
)
