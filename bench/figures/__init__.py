"""The figures of the benchmark, in the order of its table."""

from bench.figure import Figure
from bench.figures import (
    claim,
    hot_wallet,
    long_wallet,
    lots,
    memory,
    million_wallets,
    projector,
    uniform,
)

FIGURES: tuple[Figure, ...] = (
    uniform.FIGURE,
    projector.FIGURE,
    million_wallets.FIGURE,
    hot_wallet.FIGURE,
    lots.FIGURE,
    long_wallet.FIGURE,
    claim.FIGURE,
    memory.FIGURE,
)
