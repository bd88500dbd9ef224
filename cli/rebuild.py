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
from projections.rebuild import rebuild as rebuild_model

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help=f"One of {', '.join(PROJECTIONS)}; all if not given."),
]


def rebuild(name: NameArgument = None, json: JsonOption = False) -> None:
    """Fill a read model afresh from the log, compare it with a replay, and switch to it.

    Everything may be running: readers see the old one until the new one is
    complete and right, and then the new one. If it isn't, or anything fails, the
    old one stays.

    For example:
      wallet rebuild
      wallet rebuild wallets --json
    """
    asyncio.run(_rebuild(load_settings(), [name] if name else list(PROJECTIONS), json))


async def _rebuild(settings: Settings, names: list[str], json: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    for name in names:
        with bars(*columns) as progress:
            shown = _Shown(progress, progress.add_task(name), name)
            with reaching_database(settings):
                report = await rebuild_model(settings.database_url, name, shown.update)
        _print(report, json=json)


class _Shown:
    def __init__(self, progress: Progress, task: TaskID, name: str) -> None:
        self._progress = progress
        self._task = task
        self._name = name

    def update(self, now: RebuildProgress) -> None:
        self._progress.update(
            self._task,
            description=f"{self._name}: {now.stage.replace('_', ' ')}",
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
