"""Shared files: one that all processes of this user on this machine have open, and nobody else."""

import errno
import os
import stat
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path

from engine.settings import InvalidSettingError

_SETTING = "WALLET_RATE_LIMITS_FILE"


def shared_file(purpose: str, database_url: str) -> str:
    """Where the file for this purpose and database is, unless it is told otherwise.

    Its directory is this user's alone, in the directory for temporary files. Raises
    InvalidSettingError if somebody else has taken that name.
    """
    directory = Path(tempfile.gettempdir()) / f"wallet-{os.geteuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not (stat.S_ISDIR(found.st_mode) and _is_ours(found)):
        raise InvalidSettingError(
            f"{_SETTING}: {directory} is not a directory of this user's alone; name a file"
            " elsewhere"
        )
    digest = blake2b(database_url.encode(), digest_size=8, person=b"wallet.database")
    return str(directory / f"{purpose}-{digest.hexdigest()}")


def open_shared(path: str, size: int, mark: bytes) -> int:
    """A descriptor of the file, made with `mark` and then zeros if there is none.

    Raises InvalidSettingError if it can't be had, does not begin with `mark`, is a link, or others
    may read or write it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(path, flags, 0o600)
    except OSError as error:
        raise InvalidSettingError(
            f"{_SETTING}: {path} can't be opened: {error.strerror}"
        ) from None
    try:
        _take(file, size, mark)
    except OSError as error:
        os.close(file)
        raise InvalidSettingError(f"{_SETTING}: {path} can't be used: {error.strerror}") from None
    return file


def _take(file: int, size: int, mark: bytes) -> None:
    found = os.fstat(file)
    if not (stat.S_ISREG(found.st_mode) and _is_ours(found)):
        raise PermissionError(errno.EPERM, "it is no file of this user's alone")
    if os.pread(file, len(mark), 0) not in (b"", bytes(len(mark)), mark):
        raise OSError(errno.EINVAL, "it is another kind of file")
    if sys.platform == "linux":
        # a hole that the disk has no room for would end the process when it is written to
        os.posix_fallocate(file, 0, size)
    else:
        os.ftruncate(file, size)
    os.pwrite(file, mark, 0)


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077
