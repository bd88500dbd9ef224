"""Commands a second under a uniform load, from Kafka to committed and published."""

from bench.ceiling import best_rows_per_second, read_batches
from bench.figure import Figure, Measurement, at_least
from bench.load import debits, wallet_ids
from bench.session import Run

ROWS = "rows/s inserted alone"


async def measure(run: Run) -> Measurement:
    return await run.shared(measure_uniform)


async def measure_uniform(run: Run) -> Measurement:
    """Commands/s of one engine, beside rows/s of the same rows inserted alone."""
    sizes = run.sizes
    wallets = wallet_ids(sizes.wallets)
    async with run.site("uniform") as site:
        await site.open_wallets(wallets)
        await site.fill(debits(wallets, sizes.commands, "uniform"))
        drained = await site.drain()
        batches = await read_batches(site.settings.database_url, sizes.commands)
        ceiling = await best_rows_per_second(run.stack.database_url, batches)
    details = {**drained._asdict(), "ceiling_connections": ceiling.connections}
    return Measurement(drained.commands_per_s, ceiling.rows_per_s, details)


FIGURE = Figure(
    name="uniform",
    title="commands/s, Kafka to committed and published",
    unit="commands/s",
    ceiling=ROWS,
    ceiling_unit="rows/s",
    goal=at_least(0.5),
    measure=measure,
    is_quick=True,
    expected_s=60,
)
