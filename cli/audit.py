"""`wallet audit`: one wallet's history with proofs, for somebody who has nothing else."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from audit.bundles import VERIFIER, Period
from audit.wallet_history import Bundled, write_bundle
from cli.arguments import JsonOption, WalletArgument, check_wallet_id, parse_time
from cli.database import connected
from cli.errors import UsageMistakeError
from cli.output import print_json, say
from engine.settings import load_settings

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="Where the bundle is put.")
]
CheckpointOption = Annotated[
    Path, typer.Option("--checkpoint", metavar="FILE", help="The checkpoint the auditor keeps.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only from this time on.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Only what is before this time.")
]


def audit(
    wallet: WalletArgument,
    *,
    output: OutputOption,
    checkpoint: CheckpointOption = Path("checkpoint.txt"),
    start: FromOption = None,
    end: ToOption = None,
    json: JsonOption = False,
) -> None:
    """Bundle a wallet's whole history with proofs that need none of your systems.

    The bundle holds every entry of the wallet that the checkpoint covers, also
    what was refused, the proof that each stands in the log that was signed, and
    the proof that none was left out. It holds nothing of any other wallet. An
    auditor checks it with Python alone, by the program in it (or better one that
    they have already), their checkpoint and the verifier key: see docs/audit.md.

    With --from or --to it proves less: that no change of the wallet in that time
    was left out, but not that no refusal was, nor the balance before it.

    For example:
      wallet audit wal_a1b2c3 -o bundle.zip
      wallet audit wal_a1b2c3 --checkpoint auditors.txt -o bundle.zip
      wallet audit wal_a1b2c3 --from 2026-05-01T00:00:00Z -o may.zip
      python verify_bundle.py bundle.zip --checkpoint auditors.txt --key KEY
    """
    check_wallet_id(wallet)
    period = Period(parse_time(start, "--from"), parse_time(end, "--to"))
    if period.start is not None and period.end is not None and period.start >= period.end:
        raise UsageMistakeError("--from: it has to be before --to")
    bundled = asyncio.run(_write(wallet, checkpoint, output, period))
    verifier_digest = sha256(VERIFIER.read_bytes()).hexdigest()
    if json:
        print_json(
            {
                "file": str(output),
                **msgspec.to_builtins(bundled),
                "verifier": VERIFIER.name,
                "verifier_sha256": verifier_digest,
            }
        )
        return
    say(
        f"{output}: {bundled.entries} of the {bundled.wallet_entries} entries that {wallet} has "
        f"among the first {bundled.checkpoint_entries:,} of shard {bundled.shard}"
    )
    say(f"{VERIFIER.name} in it has the SHA-256 {verifier_digest}")
    say(f"\n  python {VERIFIER.name} {output} --checkpoint {checkpoint} --key KEY")


async def _write(wallet_id: str, checkpoint: Path, output: Path, period: Period) -> Bundled:
    async with connected(load_settings()) as connection:
        return await write_bundle(connection, wallet_id, checkpoint, output, period)
