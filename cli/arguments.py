"""Arguments and options that several commands have, each with its check."""

from datetime import datetime
from typing import Annotated

import msgspec
import typer

from cli.errors import UsageMistakeError
from schemas.ids import WalletId
from schemas.instants import Instant

WalletArgument = Annotated[str, typer.Argument(metavar="WALLET", help="The wallet's id: wal_…")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def check_wallet_id(text: str) -> str:
    """The id as it was given; raises UsageMistakeError if no wallet can have it."""
    try:
        return msgspec.convert(text, WalletId)
    except msgspec.ValidationError:
        raise UsageMistakeError(
            f"{text!r} is not a wallet id: they are wal_ and 1 to 40 letters or digits"
        ) from None


def parse_time(text: str | None) -> datetime | None:
    """The moment that is meant; raises UsageMistakeError if that isn't clear."""
    if text is None:
        return None
    try:
        return Instant.parse(text).plain()
    except ValueError as error:
        raise UsageMistakeError(f"--at: {error}, such as 2026-05-24T10:00:00Z") from None


def parse_place(text: str) -> tuple[int, int]:
    """Shard and offset of `SHARD:OFFSET`."""
    shard, colon, offset = text.partition(":")
    if not (colon and _is_size(shard) and _is_size(offset)):
        raise UsageMistakeError(f"{text!r} is not SHARD:OFFSET, such as 3:1042")
    return int(shard), int(offset)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
