"""`wallet verify`: the proof that a database holds what it should."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from audit.checkpoint_files import load_checkpoints
from audit.checkpoints import ShardCheckpoint
from audit.keys import read_verifier_key
from cli.arguments import JsonOption
from cli.database import reaching_database
from cli.errors import UsageMistakeError
from cli.kafka import reaching_kafka
from cli.output import bars, note
from cli.proof import print_proof, print_proof_json
from engine.settings import Settings, load_settings
from projections.verification import Progress, Proof, SignedShard
from projections.verification import verify as verify_service

_INTERRUPTED_STATUS = 130

ShardOption = Annotated[
    list[int] | None,
    typer.Option("--shard", min=0, metavar="N", help="Only this shard; may be given again."),
]
KafkaOption = Annotated[
    bool, typer.Option("--kafka/--no-kafka", help="Compare the log with the topics as well.")
]
CheckpointOption = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", metavar="FILE", help="A signed one; may be given again."),
]
VerifierKeyOption = Annotated[
    str | None,
    typer.Option("--verifier-key", metavar="KEY", help="NAME+ID+BASE64, or a file with it."),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="Go on here after an interruption."),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option("--processes", min=1, metavar="N", help="As many at once; one for each core."),
]

OnProgress = Callable[[Progress], None]


def verify(
    *,
    shard: ShardOption = None,
    kafka: KafkaOption = True,
    checkpoint: CheckpointOption = None,
    verifier_key: VerifierKeyOption = None,
    state: StateOption = None,
    processes: ProcessesOption = None,
    json: JsonOption = False,
) -> None:
    """Prove that every command has one outcome and all money is accounted for.

    Reads the whole log and holds it against the rules of a wallet, its Merkle
    tree, its columns, the read models, the timers, and the topics as far back as
    they reach. The engines may be running: each shard is taken as it stands when
    its turn comes. The exit status is 1 if anything does not hold, and the first
    bad entry is named.

    With checkpoints that were signed before, and the verifier key from wherever
    you trust, it proves that the log has only grown since. With --state, an
    interrupted run goes on where it was when it is started again the same way.

    For example:
      wallet verify
      wallet verify --shard 3 --no-kafka
      wallet verify --state verifying
      wallet verify --checkpoint checkpoint.txt --verifier-key wallet.pub
      wallet verify --json | jq .first
    """
    settings = load_settings()
    signed = _signed(checkpoint or [], verifier_key)
    try:
        proof = asyncio.run(
            verify_with_bars(
                settings,
                shards=shard,
                kafka=kafka,
                signed=signed,
                processes=processes,
                state=state,
            )
        )
    except KeyboardInterrupt:
        if state is None:
            note("Interrupted; with --state DIR the next one can be taken up again.")
        else:
            note(f"Interrupted; the same command goes on from what is in {state}.")
        raise typer.Exit(_INTERRUPTED_STATUS) from None
    (print_proof_json if json else print_proof)(proof)
    if not proof.passed:
        raise typer.Exit(1)


async def verify_with_bars(
    settings: Settings,
    *,
    shards: list[int] | None = None,
    kafka: bool = True,
    signed: Sequence[SignedShard] = (),
    processes: int | None = None,
    state: Path | None = None,
) -> Proof:
    """The proof, with progress shown on a terminal; errors as those of any command."""
    with reaching_database(settings), reaching_kafka(settings), _bars() as show:
        return await verify_service(
            settings,
            shards=shards,
            kafka=kafka,
            signed=signed,
            processes=processes,
            state=state,
            on_progress=show,
        )


def _signed(files: Sequence[Path], verifier_key: str | None) -> list[SignedShard]:
    if bool(files) != (verifier_key is not None):
        raise UsageMistakeError(
            "--checkpoint and --verifier-key go together: a checkpoint is worth what its key is"
        )
    if verifier_key is None:
        return []
    key = read_verifier_key(verifier_key)
    return [_to_hold(each, path) for path in files for each in load_checkpoints(path, key)]


def _to_hold(checkpoint: ShardCheckpoint, path: Path) -> SignedShard:
    return SignedShard(
        source=str(path),
        shard=checkpoint.shard,
        size=checkpoint.size,
        log_root=checkpoint.log_root,
        wallets=checkpoint.wallets,
        wallets_root=checkpoint.wallets_root,
    )


@contextmanager
def _bars() -> Iterator[OnProgress]:
    columns = (
        TextColumn("verifying {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with bars(*columns) as shown:
        yield _Shown(shown).update


class _Shown:
    """One bar for each stage that is under way, since several are at once."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def update(self, now: Progress) -> None:
        task = self._tasks.get(now.stage)
        if task is None:
            task = self._tasks[now.stage] = self._bars.add_task(now.stage)
        self._bars.update(
            task, completed=now.done, total=now.total or None, visible=now.done < now.total
        )
