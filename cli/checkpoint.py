"""`wallet checkpoint`: sizes and roots of every shard, signed, for an auditor to keep."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from audit.checkpoint_files import last_checkpoints, save_checkpoints
from audit.checkpoints import ShardCheckpoint, write_checkpoints
from audit.keys import SigningKey, read_key, write_key
from audit.signing import exclusively, take_checkpoint
from cli.arguments import JsonOption, parse_duration
from cli.database import connected
from cli.errors import DatabaseUnreachableError, UsageMistakeError
from cli.foreground import until_signal
from cli.output import bars, flush, note, print_json, print_table, say
from engine.settings import Settings, load_settings
from schemas.instants import utc_now

KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The signing key, a file.")
]
NewKeyOption = Annotated[
    Path | None,
    typer.Option("--new-key", metavar="FILE", help="Make a signing key and put it here."),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="With --new-key: the service's, such as wallets.example.com."),
]
VerifierOption = Annotated[
    bool,
    typer.Option("--verifier-key", help="With --key: print its public half, and sign nothing."),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where the newest checkpoint is.")
]
EveryOption = Annotated[
    str | None,
    typer.Option(
        "--every", metavar="TIME", help="Go on, one each 90s, 10m or 24h, until SIGTERM."
    ),
]


class Written(Struct, frozen=True):
    """One checkpoint that was made; `file` is null if nothing had changed since the last one."""

    file: str | None
    verifier_key: str
    shards: list[ShardCheckpoint]


def checkpoint(
    *,
    key: KeyOption = None,
    output: OutputOption = Path("checkpoint.txt"),
    every: EveryOption = None,
    new_key: NewKeyOption = None,
    name: NameOption = None,
    verifier_key: VerifierOption = False,
    json: JsonOption = False,
) -> None:
    """Sign what the log holds now, so that no one can change it later unseen.

    Writes the size and the Merkle root of every shard's log, and of the wallets
    in it, each as a signed note (C2SP tlog-checkpoint), into one file, and keeps
    the ones before under the time they were made. Nothing is signed unless the
    checkpoint in the file is the beginning of the log as it is now. Give the file
    to auditors, and the verifier key by another way: `wallet verify --checkpoint`
    and bundles are held against the two.

    For example:
      wallet checkpoint --new-key wallet.key --name wallets.example.com
      wallet checkpoint --key wallet.key --verifier-key > wallet.pub
      wallet checkpoint --key wallet.key -o checkpoint.txt
      wallet checkpoint --key wallet.key -o /srv/audit/checkpoint.txt --every 10m
    """
    if new_key is not None:
        if name is None or key is not None or verifier_key:
            raise UsageMistakeError(
                "--new-key needs --name, the service's, such as wallets.example.com, and stands "
                "alone otherwise"
            )
        _make_key(new_key, name, json=json)
        return
    if key is None or name is not None:
        raise UsageMistakeError(
            "name the signing key with --key FILE, or make one with --new-key FILE --name NAME"
        )
    signer = read_key(key)
    if verifier_key:
        _print_verifier_key(signer, key, json=json)
        return
    settings = load_settings()
    if every is None:
        _print(asyncio.run(_checkpoint(settings, signer, output)), json=json)
        return
    interval = parse_duration(every)
    if not interval:
        raise UsageMistakeError("--every: the time has to be at least 1s")
    asyncio.run(_on_schedule(settings, signer, output, interval, json=json))


def _make_key(path: Path, name: str, *, json: bool) -> None:
    made = SigningKey.new(name)
    write_key(made, path)
    if not json:
        note(f"The signing key is in {path}: back it up, and let nobody read it.")
        note("The verifier key, for auditors, to be given to them apart from checkpoints:")
    _print_verifier_key(made, path, json=json)


def _print_verifier_key(key: SigningKey, path: Path, *, json: bool) -> None:
    if json:
        print_json({"file": str(path), "verifier_key": str(key.verifier)})
    else:
        say(str(key.verifier))


async def _on_schedule(
    settings: Settings, key: SigningKey, output: Path, interval: timedelta, *, json: bool
) -> None:
    await until_signal(_repeat(settings, key, output, interval, json=json))


async def _repeat(
    settings: Settings, key: SigningKey, output: Path, interval: timedelta, *, json: bool
) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + interval.total_seconds()
        try:
            _print(await _checkpoint(settings, key, output), json=json)
            flush()
        except DatabaseUnreachableError as error:
            # it comes back, and history that nobody could reach has not changed
            note(f"wallet: {error}; the next try is in {max(0, due - clock()):.0f} s")
        await asyncio.sleep(max(0, due - clock()))


async def _checkpoint(settings: Settings, key: SigningKey, output: Path) -> Written:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with bars(*columns) as progress:
        task = progress.add_task("signing shards")
        async with connected(settings) as connection, exclusively(connection):
            before = last_checkpoints(output, key.verifier)
            shards = await take_checkpoint(
                connection,
                before,
                lambda done, of: progress.update(task, completed=done, total=of),
            )
            # still alone: of two at a time the older one could be written last
            dated = None
            if before != [shards, shards]:
                dated = save_checkpoints(output, write_checkpoints(shards, key), utc_now())
    return Written(None if dated is None else str(dated), str(key.verifier), shards)


def _print(written: Written, *, json: bool) -> None:
    if json:
        shown = [_built(shard) for shard in written.shards]
        print_json({"file": written.file, "verifier_key": written.verifier_key, "shards": shown})
        return
    if written.file is None:
        say("Nothing has been added since the last checkpoint.")
        return
    print_table(
        ["shard", "entries", "wallets"],
        [(shard.shard, shard.size, shard.wallets) for shard in written.shards],
        right=["shard", "entries", "wallets"],
    )
    say(f"\nSigned in {written.file}; its verifier key is {written.verifier_key}")


def _built(shard: ShardCheckpoint) -> dict[str, object]:
    return {
        "shard": shard.shard,
        "size": shard.size,
        "log_root": shard.log_root.hex(),
        "wallets": shard.wallets,
        "wallets_root": shard.wallets_root.hex(),
    }
