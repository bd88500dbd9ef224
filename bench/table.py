"""The figures of a benchmark as a table for people, and as a document."""

import statistics
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figure import Figure, Measurement

Measured = dict[str, list[Measurement]]
"""The runs of each figure, by its name."""


def median_ratio(runs: list[Measurement]) -> float:
    return statistics.median(run.ratio for run in runs)


def is_met(figure: Figure, runs: list[Measurement]) -> bool:
    """Whether the median reaches the goal, and every run fulfilled the figure's conditions."""
    return figure.goal.met_by(median_ratio(runs)) and not any(run.shortfall for run in runs)


def print_table(figures: list[Figure], measured: Measured, heading: str) -> None:
    """Medians of value, ceiling and ratio, the ratio's spread, and the goal."""
    table = Table(title=heading, title_justify="left", title_style="bold", box=None)
    table.add_column("", no_wrap=True)
    table.add_column("figure", max_width=34)
    table.add_column("median", justify="right")
    table.add_column("ceiling in the same run", max_width=30)
    table.add_column("median", justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("spread", justify="right", no_wrap=True)
    table.add_column("goal", no_wrap=True)
    table.add_column("", no_wrap=True)
    for figure in figures:
        runs = measured[figure.name]
        ratios = [run.ratio for run in runs]
        table.add_row(
            figure.name,
            figure.title,
            quantity(statistics.median(run.value for run in runs), figure.unit),
            figure.ceiling,
            quantity(statistics.median(run.ceiling for run in runs), figure.ceiling_unit),
            f"{median_ratio(runs):.2f}",
            f"{min(ratios):.2f}-{max(ratios):.2f}",
            str(figure.goal),
            "met" if is_met(figure, runs) else "missed",
        )
    console = Console(width=160, highlight=False, soft_wrap=False)
    console.print()
    console.print(table)
    for figure in figures:
        for number, run in enumerate(measured[figure.name], 1):
            if run.shortfall:
                console.print(f"{figure.name}, run {number}: {run.shortfall}", markup=False)


def quantity(value: float, unit: str) -> str:
    """`value` to four places at most, with its unit."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def as_document(figures: list[Figure], measured: Measured) -> dict[str, Any]:
    """Every run of every figure, with medians and goals."""
    return {
        figure.name: {
            "title": figure.title,
            "unit": figure.unit,
            "ceiling": figure.ceiling,
            "ceiling_unit": figure.ceiling_unit,
            "goal": str(figure.goal),
            "met": is_met(figure, measured[figure.name]),
            "median_ratio": median_ratio(measured[figure.name]),
            "runs": [{**asdict(run), "ratio": run.ratio} for run in measured[figure.name]],
        }
        for figure in figures
    }
