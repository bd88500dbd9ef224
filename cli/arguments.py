"""Arguments and options that several commands have, each with its check."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

from cli.errors import UsageMistakeError
from schemas.ids import WalletId
from schemas.instants import Instant

TEXT_LENGTH_MAX: Final = 100

_UNITS: Final = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")

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


def check_text(text: str, name: str) -> str:
    """The text as it was given; raises UsageMistakeError unless it is a short line."""
    if not (text.strip() and len(text) <= TEXT_LENGTH_MAX and text.isprintable()):
        raise UsageMistakeError(
            f"{name}: it has to be one line of 1 to {TEXT_LENGTH_MAX} printable characters"
        )
    return text


def parse_time(text: str | None, option: str = "--at") -> datetime | None:
    """The moment that is meant; raises UsageMistakeError if that isn't clear."""
    if text is None:
        return None
    try:
        return Instant.parse(text).plain()
    except ValueError as error:
        raise UsageMistakeError(f"{option}: {error}, such as 2026-05-24T10:00:00Z") from None


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `30m`, `24h` or `7d`; raises UsageMistakeError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageMistakeError(f"{text!r} is no duration, such as 90s, 30m, 24h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def parse_place(text: str, of: str = "OFFSET") -> tuple[int, int]:
    """The two numbers of `SHARD:OFFSET`, or of another place in a shard."""
    shard, colon, number = text.partition(":")
    if not (colon and _is_size(shard, 9) and _is_size(number, 18)):
        raise UsageMistakeError(f"{text!r} is not SHARD:{of}, such as 3:1042")
    return int(shard), int(number)


def _is_size(text: str, digits_max: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits_max
