"""One wallet that takes all commands."""

from bench.figure import Figure, Measurement, at_least
from bench.figures.uniform import measure_uniform
from bench.load import debits, wallet_ids
from bench.session import Run


async def measure(run: Run) -> Measurement:
    """Every debit is decided on the balance that the one before it left, in one shard."""
    uniform = await run.shared(measure_uniform)
    wallets = wallet_ids(1)
    async with run.site("hot") as site:
        await site.open_wallets(wallets)
        await site.fill(debits(wallets, run.sizes.commands, "hot"))
        drained = await site.drain()
    return Measurement(drained.commands_per_s, uniform.value, drained._asdict())


FIGURE = Figure(
    name="hot-wallet",
    title="one hot wallet takes all",
    unit="commands/s",
    ceiling="the uniform figure",
    ceiling_unit="commands/s",
    goal=at_least(0.9),
    measure=measure,
    is_quick=True,
    expected_s=30,
)
