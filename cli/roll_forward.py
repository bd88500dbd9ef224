"""`wallet roll-forward`: after a restore, the log catches up with what had been published."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from cli.arguments import JsonOption
from cli.database import reaching_database
from cli.errors import UsageMistakeError
from cli.kafka import reaching_kafka
from cli.output import bars, flush, print_json, print_table, say
from engine.rollforward import RollForward, ShardPlan
from engine.settings import Settings, load_settings

ShardOption = Annotated[
    list[int] | None,
    typer.Option("--shard", min=0, metavar="N", help="Only this shard; may be given again."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, say what would be done, and end.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask; needed where nobody can.")]

_RESTORED_ALONE: Final = (
    "Customers, merchants, keys, Idempotency-Keys, checkouts that nobody has paid, and what was"
    " done about dead letters stand in PostgreSQL alone: they are as of the restored point."
)


class ShardRolled(Struct, frozen=True, kw_only=True):
    """One shard: what is, or would be, appended, and where it then stands.

    `restored` is when its last entry was decided before, `reached` after. `undecided` counts the
    records from `next_offset` on, which the engine takes up again; `root` is the Merkle root in
    hexadecimal.
    """

    shard: int
    entries: int
    position: int
    restored: datetime | None
    reached: datetime | None
    next_offset: int
    undecided: int
    root: str


class Rolled(Struct, frozen=True, kw_only=True):
    """All of them; `done` is false if it was a dry run, or nothing had to be done."""

    done: bool
    entries: int
    shards: list[ShardRolled]
    restored_alone: str = _RESTORED_ALONE


def roll_forward(
    shard: ShardOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """After a restore, append to the log again what was published after that point.

    A database that was restored to an older point lacks entries that consumers of
    wallet.events have seen. This appends them: the same bytes, at the same
    positions, checked against the Merkle tree. Then start the engines. They take
    up the commands from the restored offset: what was published keeps its
    outcome, and what was committed but never published is decided anew, at the
    new time.

    Stop every engine first. All is checked before anything is written; it asks
    before it writes, and does nothing where nothing is lacking. Being stopped
    half-way does no harm: run it again. Customers, keys, Idempotency-Keys and
    unpaid checkouts are not on any topic, and stay as of the restored point.

    For example:
      wallet roll-forward --dry-run
      wallet roll-forward
      wallet roll-forward --yes --json | jq .entries
    """
    asyncio.run(_RollForward(load_settings(), json=json).run(shard, dry_run=dry_run, yes=yes))


class _RollForward:
    def __init__(self, settings: Settings, *, json: bool) -> None:
        self._settings = settings
        self._json = json

    async def run(self, shards: list[int] | None, *, dry_run: bool, yes: bool) -> None:
        settings = self._settings
        with reaching_database(settings), reaching_kafka(settings):
            async with RollForward.connect(settings) as service:
                with _bars() as shown:
                    plans = await service.examine(shards, shown.update)
                needed = any(plan.entries for plan in plans)
                if needed and not self._json:
                    _print_plans(plans)
                    flush()
                if needed and not dry_run:
                    _agree(plans, yes=yes)
                    with _bars() as shown:
                        # those that lack nothing as well: claiming them fences what was before
                        for plan in plans:
                            await service.roll_forward(plan, shown.update)
        self._tell(plans, done=needed and not dry_run)

    def _tell(self, plans: Sequence[ShardPlan], *, done: bool) -> None:
        entries = sum(plan.entries for plan in plans)
        if self._json:
            shards = [_rolled(plan) for plan in plans]
            print_json(Rolled(done=done, entries=entries, shards=shards))
        elif not entries:
            say(
                f"The log has all that {self._settings.events_topic} has: there is nothing to roll"
                " forward. Start the engines."
            )
        elif not done:
            say(f"\n{entries:,} entries would be appended; nothing has been written.")
        else:
            undecided = sum(plan.undecided for plan in plans)
            say(
                f"\n{entries:,} entries were appended. Start the engines: they take up"
                f" {undecided:,} records again, drop those whose outcome is there, and decide the"
                f" others at the new time. {_RESTORED_ALONE} Once `wallet status` shows no lag,"
                " `wallet verify` proves the whole."
            )


def _agree(plans: Sequence[ShardPlan], *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageMistakeError(
            "nobody is there to be asked: say --yes to roll forward, or --dry-run to see what"
            " would be done"
        )
    entries = sum(plan.entries for plan in plans)
    typer.confirm(f"Append {entries:,} entries to the log?", abort=True, err=True)


def _print_plans(plans: Sequence[ShardPlan]) -> None:
    numbers = ("entries", "position", "next offset", "undecided")
    print_table(
        ("shard", *numbers, "restored", "reached"),
        (
            (
                plan.shard,
                plan.entries,
                plan.position,
                plan.row.next_offset,
                plan.undecided,
                plan.row.last_at if plan.row.position else None,
                plan.last_at if plan.position else None,
            )
            for plan in plans
        ),
        right=("shard", *numbers),
    )


def _rolled(plan: ShardPlan) -> ShardRolled:
    return ShardRolled(
        shard=plan.shard,
        entries=plan.entries,
        position=plan.position,
        restored=plan.row.last_at if plan.row.position else None,
        reached=plan.last_at if plan.position else None,
        next_offset=plan.row.next_offset,
        undecided=plan.undecided,
        root=plan.root.hex(),
    )


class _Shown:
    """One bar for each stage, the finished ones hidden."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def update(self, stage: str, done: int, total: int) -> None:
        if self._task is None or stage != self._stage:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._stage, self._task = stage, self._bars.add_task(stage)
        self._bars.update(self._task, completed=done, total=total or None)


@contextmanager
def _bars() -> Iterator[_Shown]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with bars(*columns) as shown:
        yield _Shown(shown)
