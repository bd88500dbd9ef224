"""How large each workload is: all of it in one place."""

from dataclasses import asdict, dataclass, replace
from typing import Self

_LARGE = 1_000


@dataclass(frozen=True)
class Sizes:
    """Counts of one run. A scale makes them smaller, to try the benchmark itself."""

    wallets: int = 5_000
    """Of the uniform load, and of what is compared with it."""
    commands: int = 300_000
    """Debits of one measurement."""

    many_wallets: int = 1_000_000
    few_wallets: int = 10_000
    """Whose engines' memory is compared."""
    memory_commands: int = 1_000_000
    """Sent to each of the two."""

    lots_debits: int = 20
    """Of each wallet with many lots; each burns three."""

    long_wallet_entries: int = 1_000_000
    cold_loads: int = 50
    """Of a wallet with so many entries, and of ones with ten."""

    large_shard_entries: int = 10_000_000
    claims: int = 5
    """Of the shard with so many entries, and of an empty one."""

    http_wallets: int = 1_000
    http_debits: int = 1_000
    """One after the other, and as many produces and commits beside them."""
    http_seconds: int = 4
    """For which each rate is tried."""

    def scaled(self, scale: float) -> Self:
        """Every count of a thousand and more times `scale`."""
        scaled = {
            name: max(_LARGE // 10, round(count * scale))
            for name, count in asdict(self).items()
            if count >= _LARGE
        }
        return replace(self, **scaled)


FULL = Sizes()
QUICK = replace(FULL, commands=80_000)
