"""The user that PostgreSQL runs as when we are root, which it refuses to be."""

import os
import pwd
import stat
from pathlib import Path

from cli.stack.errors import NoUnprivilegedUserError

_NAMES = ("nobody", "postgres", "daemon")
_READ_BY_ALL = stat.S_IRGRP | stat.S_IROTH
_SEARCH_BY_ALL = stat.S_IXGRP | stat.S_IXOTH


def unprivileged_user() -> tuple[int, int] | None:
    """(uid, gid) to run as; None if this process is not root and can run it as itself."""
    if os.geteuid() != 0:
        return None
    for name in _NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise NoUnprivilegedUserError(
        f"PostgreSQL does not run as root, and this system has no user named {', '.join(_NAMES)}:"
        " start the stack as a normal user"
    )


def hand_over(directory: Path, user: tuple[int, int]) -> None:
    """Make `user` the owner of a directory and all in it, and let it reach the directory."""
    let_reach(directory)
    for path in (directory, *directory.rglob("*")):
        if path.lstat().st_uid != user[0]:
            os.chown(path, *user, follow_symlinks=False)


def let_reach(path: Path) -> None:
    """Let every user pass through the directories above `path`, though not list them."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def let_read(directory: Path) -> None:
    """Let every user read a directory of program files, as a strict umask may have forbidden."""
    let_reach(directory)
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode
        wanted = mode | _READ_BY_ALL | (_SEARCH_BY_ALL if mode & stat.S_IXUSR else 0)
        if wanted != mode:
            path.chmod(wanted)
