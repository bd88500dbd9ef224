"""`wallet verify`: the proof that a database holds what it should."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from cli.arguments import JsonOption
from cli.database import reaching_database
from cli.kafka import reaching_kafka
from cli.output import err
from cli.proof import print_proof, print_proof_json
from engine.settings import Settings, load_settings
from projections.verification import Progress, Proof
from projections.verification import verify as verify_service

ShardOption = Annotated[
    list[int] | None,
    typer.Option("--shard", min=0, metavar="N", help="Only this shard; may be given again."),
]
KafkaOption = Annotated[
    bool, typer.Option("--kafka/--no-kafka", help="Compare the log with the topics as well.")
]

OnProgress = Callable[[Progress], None]


def verify(shard: ShardOption = None, kafka: KafkaOption = True, json: JsonOption = False) -> None:
    """Prove that every command has one outcome and all money is accounted for.

    Reads the whole log and holds it against the rules of a wallet, its Merkle
    tree, its columns, the read models, the timers, and the topics as far back as
    they reach. The engines may be running: each shard is taken as it stands when
    its turn comes. The exit status is 1 if anything does not hold, and the first
    bad entry is named.

    For example:
      wallet verify
      wallet verify --shard 3 --no-kafka
      wallet verify --json | jq .first
    """
    proof = asyncio.run(verify_with_bars(load_settings(), shards=shard, kafka=kafka))
    (print_proof_json if json else print_proof)(proof)
    if not proof.passed:
        raise typer.Exit(1)


async def verify_with_bars(
    settings: Settings, *, shards: list[int] | None = None, kafka: bool = True
) -> Proof:
    """The proof, with progress shown on a terminal; errors as those of any command."""
    with reaching_database(settings), reaching_kafka(settings), _bars() as show:
        return await verify_service(settings, shards=shards, kafka=kafka, on_progress=show)


@contextmanager
def _bars() -> Iterator[OnProgress]:
    console = err()
    columns = (
        TextColumn("verifying {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Shown(bars).update


class _Shown:
    """One bar for each stage, the finished ones hidden."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._stage = ""
        self._task: TaskID | None = None

    def update(self, now: Progress) -> None:
        if self._task is None or now.stage != self._stage:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._stage = now.stage
            self._task = self._bars.add_task(now.stage)
        self._bars.update(self._task, completed=now.done, total=now.total or None)
