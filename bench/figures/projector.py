"""The uniform load while the projector keeps up with it."""

from bench.figure import Figure, Measurement, at_least
from bench.figures.uniform import ROWS, measure_uniform
from bench.load import debits, wallet_ids
from bench.session import Run

VISIBLE_S_MAX = 1.0
"""After the last commit, for the read models to have it."""


async def measure(run: Run) -> Measurement:
    """What is visible later than a second after its commit lowers the rate."""
    ceiling = await run.shared(measure_uniform)
    wallets = wallet_ids(run.sizes.wallets)
    async with run.site("projector") as site:
        await site.open_wallets(wallets)
        async with site.running("projector"):
            await site.settle()
        await site.fill(debits(wallets, run.sizes.commands, "projector"))
        drained = await site.drain(projectors=1)
    assert drained.visible_s is not None
    late_s = drained.visible_s - drained.committed_s
    seconds = max(drained.published_s, drained.visible_s - VISIBLE_S_MAX)
    return Measurement(
        drained.commands / seconds,
        ceiling.ceiling,
        {**drained._asdict(), "visible_after_last_commit_s": late_s},
        shortfall=""
        if late_s <= VISIBLE_S_MAX
        else f"visible in the read models {late_s:.1f} s after the last commit,"
        f" not within {VISIBLE_S_MAX:g} s",
    )


FIGURE = Figure(
    name="projector",
    title="the same with the projector keeping up",
    unit="commands/s",
    ceiling=ROWS,
    ceiling_unit="rows/s",
    goal=at_least(0.35),
    measure=measure,
    is_quick=True,
    expected_s=50,
)
