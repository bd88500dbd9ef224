"""A log that is there from the start, with its read models, for figures of what reads it."""

from bench.load import debits, wallet_ids
from bench.session import Bench
from bench.site import Site


async def filled_log(bench: Bench) -> Site:
    """Debits on many wallets, decided, published, and in the read models; nothing runs on it."""
    bench.say(f"filling a log with {bench.sizes.commands:,} debits")
    wallets = wallet_ids(bench.sizes.wallets)
    site = await bench.keep_site("log")
    await site.open_wallets(wallets)
    await site.fill(debits(wallets, bench.sizes.commands, "log"))
    await site.drain(projectors=1)
    return site
