"""Lines that tell, while a benchmark works, what it is at and how long the rest may take."""

import time
from collections.abc import Sequence

from bench.figure import Figure


class Progress:
    """Counts measurements that have ended, to estimate the others.

    `scale` is what the workload is to the full one.
    """

    def __init__(self, figures: Sequence[Figure], runs: int, scale: float) -> None:
        self._began = time.monotonic()
        self._left = [figure for _ in range(runs) for figure in figures]
        self._scale = scale
        self._took: dict[str, list[float]] = {}
        self._figure_began = self._began

    def say(self, text: str) -> None:
        print(f"{_minutes(time.monotonic() - self._began)}  {text}", flush=True)

    def begin(self, figure: Figure, run: int, runs: int) -> None:
        self._figure_began = time.monotonic()
        rest_s = sum(self._expected_s(each) for each in self._left)
        self.say(f"{figure.name}, run {run} of {runs}; about {_minutes(rest_s).strip()} left")

    def end(self, figure: Figure) -> None:
        self._left.remove(figure)
        self._took.setdefault(figure.name, []).append(time.monotonic() - self._figure_began)

    def _expected_s(self, figure: Figure) -> float:
        # the first run also prepares what the others find
        took = self._took.get(figure.name)
        return took[-1] if took else figure.expected_s * self._scale


def _minutes(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes:3}:{seconds:02}"
