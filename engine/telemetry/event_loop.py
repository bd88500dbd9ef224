"""How late the event loop is: what keeps one callback waiting keeps all of them waiting."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

_INTERVAL_S: Final = 0.25
_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


async def watch_event_loop(registry: CollectorRegistry) -> None:
    """Measure the loop that this runs on until cancelled."""
    lag = Histogram(
        "wallet_event_loop_lag_seconds",
        "How much later than asked for the event loop called back.",
        buckets=_BUCKETS_S,
        registry=registry,
    )
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)
        lag.observe(max(0.0, loop.time() - due))
