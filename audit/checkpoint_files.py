"""The file that an auditor fetches, and beside it every one before, under the time it was made.

    checkpoint.txt
    checkpoint.2026-05-24T10-00-00.000000Z.txt

A file is there whole or not at all, whatever happens while it is written.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from audit.checkpoints import ShardCheckpoint, read_checkpoints, unsigned_trees
from audit.errors import CheckpointError, CheckpointMalformedError, NoteError
from audit.keys import VerifierKey

T = TypeVar("T")

FILE_BYTES_MAX: Final = 64 << 20
_TIME: Final = "%Y-%m-%dT%H-%M-%S.%fZ"
_DATED: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*Z"


def load_checkpoints(path: Path, key: VerifierKey) -> list[ShardCheckpoint]:
    """What the file says, every signature verified; raises AuditError with the file's name."""
    return _load(path, lambda text: read_checkpoints(text, key))


def load_unsigned_trees(path: Path, shard: int) -> ShardCheckpoint:
    """What the file says of one shard, no signature verified; raises as `load_checkpoints`."""
    return _load(path, lambda text: unsigned_trees(text, shard))


def _load(path: Path, read: Callable[[str], T]) -> T:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            text = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read ({error.strerror}): name a file that `wallet checkpoint` wrote."
        ) from None
    except UnicodeDecodeError:
        raise CheckpointMalformedError(f"{path} is no checkpoint file: it is not text.") from None
    try:
        return read(text)
    except (CheckpointError, NoteError) as error:
        raise type(error)(f"{path}: {error}") from None


def last_checkpoints(path: Path, key: VerifierKey) -> list[list[ShardCheckpoint]]:
    """What was written last: the file, and the newest of the dated ones, if they are there.

    They are the same, unless the writer ended between the two.
    """
    dated = sorted(path.parent.glob(f"{_escaped(path.stem)}.{_DATED}{_escaped(path.suffix)}"))
    newest = [*dated[-1:], *([path] if path.exists() else [])]
    return [load_checkpoints(file, key) for file in newest]


def save_checkpoints(path: Path, text: str, now: datetime) -> Path:
    """Write both files; gives the dated one's path."""
    dated = path.with_name(f"{path.stem}.{now.astimezone(UTC).strftime(_TIME)}{path.suffix}")
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # what a killed one left may be a second name of a dated file: never write into it
        new.unlink(missing_ok=True)
        with new.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(new, dated)
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint can't be written to {path}: {error.strerror or error}. Nothing in "
            "its place was changed."
        ) from error
    finally:
        new.unlink(missing_ok=True)
    return dated


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _escaped(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
