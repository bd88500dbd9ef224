"""`wallet rebuild`: read models afresh beside the live ones, compared, then switched."""

import asyncio
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.arguments import JsonOption
from cli.database import reaching_database
from cli.output import bars, print_json, say
from engine.settings import Settings, load_settings
from projections.models import PROJECTIONS
from projections.rebuild import RebuildProgress, RebuildReport
from projections.rebuild import rebuild as rebuild_models

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help=f"Of {', '.join(PROJECTIONS)}; all if none is given."),
]


def rebuild(names: NamesArgument = None, json: JsonOption = False) -> None:
    """Fill read models afresh from the log, compare them with a replay, and switch to them.

    Everything may be running: readers see the old ones until the new ones are
    complete and right, and then the new ones. If any isn't, or anything fails,
    the old ones stay. Several are filled from one reading of the log, and
    switched one after the other.

    For example:
      wallet rebuild
      wallet rebuild wallets lots
      wallet rebuild wallets --json
    """
    asyncio.run(_rebuild(load_settings(), names or list(PROJECTIONS), json))


async def _rebuild(settings: Settings, names: list[str], json: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with bars(*columns) as progress:
        told = ", ".join(names)
        shown = _Shown(progress, progress.add_task(told), told)
        with reaching_database(settings):
            reports = await rebuild_models(settings.database_url, names, shown.update)
    for report in reports:
        _print(report, json=json)


class _Shown:
    def __init__(self, progress: Progress, task: TaskID, names: str) -> None:
        self._progress = progress
        self._task = task
        self._names = names

    def update(self, now: RebuildProgress) -> None:
        self._progress.update(
            self._task,
            description=f"{self._names}: {now.stage.replace('_', ' ')}",
            completed=now.done,
            total=now.total or None,
        )


def _print(report: RebuildReport, *, json: bool) -> None:
    if json:
        print_json(report)
        return
    say(
        f"{report.name}: {report.entries:,} entries compared, generation {report.generation}"
        f" took the place of {report.replaced}, in {report.seconds:.1f} s"
    )
