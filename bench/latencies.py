"""How long things took, each in a histogram's bucket of three digits."""

from typing import Self

from hdrh.histogram import HdrHistogram

_MAX_US = 120_000_000


class Latencies:
    """Recorded in seconds, told in milliseconds."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _MAX_US, 3)

    @property
    def count(self) -> int:
        return int(self._histogram.get_total_count())

    @property
    def max_ms(self) -> float:
        return float(self._histogram.get_max_value()) / 1000

    def record(self, seconds: float) -> None:
        self._histogram.record_value(max(1, int(seconds * 1e6)))

    def add(self, other: Self) -> None:
        """Take in what another has recorded."""
        self._histogram.add(other._histogram)

    def ms(self, percentile: float) -> float:
        """So many percent took no longer."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000

    def median_and_tail(self) -> dict[str, float]:
        """What is told of them where nothing else is asked for."""
        return {"p50_ms": self.ms(50), "p99_ms": self.ms(99)}
