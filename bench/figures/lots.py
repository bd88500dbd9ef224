"""Wallets with many lots, and debits that burn several of them."""

from bench.errors import BenchError
from bench.figure import Figure, Measurement, at_least
from bench.figures.uniform import measure_uniform
from bench.load import burning, wallet_ids, with_lots
from bench.session import Run
from bench.site import Site
from schemas.entries import decode_entry
from schemas.events import Debited

LOTS = 20
"""Live in every wallet at the end; there are more before, so that debits alone can be measured."""
LOTS_USED_UP = 2
BURNT_BY_A_DEBIT = 3
WARM_UP = 0.2
"""Of the commands come before the clock starts: engines load what wallets went through first."""


async def measure(run: Run) -> Measurement:
    """Every debit burns three lots, and uses two of them up."""
    uniform = await run.shared(measure_uniform)
    rounds = run.sizes.lots_debits
    wallets = wallet_ids(run.sizes.wallets)
    async with run.site("lots") as site:
        await site.fill(with_lots(wallets, LOTS + LOTS_USED_UP * rounds))
        await site.work_off()
        await site.fill(burning(wallets, rounds))
        commands = len(wallets) * (1 + rounds)
        drained = await site.drain(warm_up=int(WARM_UP * commands))
        await _check(site)
    return Measurement(drained.commands_per_s, uniform.value, drained._asdict())


async def _check(site: Site) -> None:
    async with site.database() as database:
        data = await database.fetchval("SELECT data FROM log ORDER BY position DESC LIMIT 1")
    event = decode_entry(data).event
    if not isinstance(event, Debited) or len(event.lots) != BURNT_BY_A_DEBIT:
        raise BenchError(f"the last debit should have burnt {BURNT_BY_A_DEBIT} lots: {event}")


FIGURE = Figure(
    name="lots",
    title="20 lots live in every wallet, debits that burn several",
    unit="commands/s",
    ceiling="the uniform figure",
    ceiling_unit="commands/s",
    goal=at_least(0.6),
    measure=measure,
    expected_s=60,
)
