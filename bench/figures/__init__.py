"""The figures of the benchmark, in the order of its table."""

from bench.figure import Figure
from bench.figures import hot_wallet, projector, uniform

FIGURES: tuple[Figure, ...] = (
    uniform.FIGURE,
    projector.FIGURE,
    hot_wallet.FIGURE,
)
