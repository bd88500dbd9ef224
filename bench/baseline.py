"""Ratios that were measured before, and whether some have been lost since."""

import json
from collections.abc import Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.figure import Figure

LOSS_MAX = 0.2
COMMITTED = Path(__file__).with_name("baseline.json")


def write_baseline(path: Path, ratios: dict[str, float]) -> None:
    """Keep these for later comparisons."""
    document = {name: round(ratio, 3) for name, ratio in ratios.items()}
    path.write_text(json.dumps(document, indent=2) + "\n")


def read_baseline(path: Path) -> dict[str, float]:
    """The ratios by figure. Raises BenchError if there are none."""
    try:
        ratios: dict[str, float] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(
            f"the baseline {path} can't be read ({error}): measure one on a quiet machine with"
            " --quick --write-baseline"
        ) from error
    return ratios


def losses(
    figures: Sequence[Figure], ratios: dict[str, float], baseline: dict[str, float]
) -> list[str]:
    """A sentence for each figure that is worse by more than a fifth, or has no baseline."""
    found = []
    for figure in figures:
        before, now = baseline.get(figure.name), ratios[figure.name]
        if before is None:
            found.append(f"{figure.name} has no baseline")
        elif (loss := figure.goal.loss(before, now)) > LOSS_MAX:
            found.append(
                f"{figure.name} has lost {loss:.0%}: its ratio was {before:.2f}, and is {now:.2f}"
            )
    return found
