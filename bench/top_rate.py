"""The most requests a second that keep within a bound of latency, found by trying rates."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

_TRIES = 2
"""Of each rate, for one pause of the machine is not to decide."""
_STEP = 1.06
"""How near to the first rate that fails the search ends."""


class Probe(NamedTuple):
    """Requests sent evenly at `rate`, open-loop; latencies in milliseconds."""

    rate: float
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    all_ok: bool

    @classmethod
    def of(cls, rate: float, results: dict[str, Any]) -> "Probe":
        """From what `bench.open_loop` prints."""
        return cls(
            rate,
            results["requests_per_s"],
            results["p50_ms"],
            results["p99_ms"],
            results["statuses"].keys() == {"200"},
        )


class TopRate(NamedTuple):
    """The best probe that passed, and all that were made, in their order."""

    best: Probe
    probes: list[Probe]


async def find_top_rate(
    probe: Callable[[float], Awaitable[Probe]], p99_ms_max: float, first: float
) -> TopRate:
    """Doubles the rate until it fails, or halves it until it passes, and then closes in."""
    probes: list[Probe] = []

    async def passes(rate: float) -> bool:
        for _ in range(_TRIES):
            made = await probe(rate)
            probes.append(made)
            if _holds(made, p99_ms_max):
                return True
        return False

    good, bad = 0.0, first
    while await passes(bad):
        good, bad = bad, 2 * bad
    while not good:
        rate = bad / 2
        if await passes(rate):
            good = rate
        elif rate < 1:
            raise ValueError(f"not even {rate:.1f} requests/s are answered in {p99_ms_max} ms")
        else:
            bad = rate
    while bad / good > _STEP:
        rate = (good * bad) ** 0.5
        if await passes(rate):
            good = rate
        else:
            bad = rate
    kept = [each for each in probes if _holds(each, p99_ms_max)]
    return TopRate(max(kept, key=lambda each: each.requests_per_s), probes)


def _holds(probe: Probe, p99_ms_max: float) -> bool:
    return probe.all_ok and probe.p99_ms < p99_ms_max
