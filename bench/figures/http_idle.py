"""What a debit over HTTP takes while nothing else is asked for."""

from bench.figure import Figure, Measurement, at_most
from bench.http import RAW_TOPIC, serving
from bench.raw_cost import raw_cost
from bench.session import Run


async def measure(run: Run) -> Measurement:
    """Debits one after the other, and before and after them produces and commits."""
    sizes = run.sizes
    given = ("--wallets", sizes.http_wallets, "--rate", 0)
    async with run.site("http-idle") as site, serving(site, sizes.http_wallets) as service:
        await service.load(*given, "--count", sizes.http_wallets, "--tag", "warm")
        before = await raw_cost(site.settings, RAW_TOPIC, sizes.http_debits)
        debits = await service.load(*given, "--count", sizes.http_debits, "--tag", "idle")
        after = await raw_cost(site.settings, RAW_TOPIC, sizes.http_debits)
    refused = debits["statuses"].keys() != {"200"}
    return Measurement(
        debits["p50_ms"],
        min(before["p50_ms"], after["p50_ms"]),
        {"debits": debits, "raw_before": before, "raw_after": after},
        shortfall=f"not every debit was answered with 200: {debits['statuses']}"
        if refused
        else "",
    )


FIGURE = Figure(
    name="http-idle",
    title="HTTP debit on an idle system, p50",
    unit="ms",
    ceiling="one produce + one commit, p50",
    ceiling_unit="ms",
    goal=at_most(3),
    measure=measure,
    is_quick=True,
    expected_s=35,
)
