"""Ours: commands through Kafka, decided, committed, published, and in the read models."""

import statistics

from bench import latency
from bench.errors import BenchError
from bench.load import FUNDS, debit_amount, debits, wallet_ids
from bench.peers.runs import Outcome, Rate
from bench.session import Bench
from bench.site import Site

NAME = "wallet engine"
SETTING = "Kafka, 4 shards, 1 engine, 1 projector"


async def measure(bench: Bench, accounts: int, runs: int, half_s: float) -> Outcome:
    """As many debits in each run as the benchmark's own figures take."""
    tops = []
    for number in range(runs):
        bench.say(f"{NAME}, {accounts:,} accounts, run {number + 1}")
        tops.append(await debits_per_s(bench, accounts, number, bench.sizes.commands))
    rate = statistics.median(tops) / 2
    bench.say(f"{NAME}, {accounts:,} accounts, half of the rate")
    return Outcome(NAME, SETTING, tops, await at_rate(bench, accounts, rate, half_s))


async def at_rate(bench: Bench, accounts: int, rate: float, seconds: float) -> Rate:
    """From when a debit should have been sent to its commit, the projector at work as well."""
    wallets = wallet_ids(accounts)
    async with bench.site(f"peers-{accounts}-half") as site:
        await site.open_wallets(wallets)
        async with site.running("projector", "engine"):
            found = await latency.measure(site, wallets, rate, seconds)
    return Rate(found["commands"], rate, found["p50_ms"], found["p99_ms"])


async def debits_per_s(bench: Bench, accounts: int, number: int, count: int) -> float:
    """From the first commit until the last debit is published and in all read models."""
    wallets = wallet_ids(accounts)
    async with bench.site(f"peers-{accounts}-{number}") as site:
        await site.open_wallets(wallets)
        async with site.running("projector"):
            await site.settle()
        await site.fill(debits(wallets, count, "peer"))
        drained = await site.drain(projectors=1)
        await check_balances(site, accounts, count)
    assert drained.visible_s is not None
    return drained.commands / max(drained.visible_s, drained.published_s)


async def check_balances(site: Site, accounts: int, count: int) -> None:
    """Raises BenchError unless the read model's balances are what so many debits leave."""
    expected = accounts * FUNDS - sum(map(debit_amount, range(count)))
    async with site.database() as connection:
        found = await connection.fetchrow("SELECT count(*), sum(balance)::bigint FROM wallets")
    assert found is not None
    if tuple(found) != (accounts, expected):
        raise BenchError(f"{found[0]} balances come to {found[1]}, and should to {expected}")
