"""The figures of the benchmark, in the order of its table."""

from bench.figure import Figure
from bench.figures import (
    claim,
    hot_wallet,
    http_idle,
    http_rate,
    long_wallet,
    lots,
    memory,
    million_wallets,
    projector,
    read_models,
    uniform,
    verification,
)

FIGURES: tuple[Figure, ...] = (
    uniform.FIGURE,
    projector.FIGURE,
    million_wallets.FIGURE,
    hot_wallet.FIGURE,
    lots.FIGURE,
    read_models.FIGURE,
    verification.FIGURE,
    long_wallet.FIGURE,
    claim.FIGURE,
    http_rate.FIGURE,
    http_idle.FIGURE,
    memory.FIGURE,
)
