"""What can go wrong while the embedded stack is set up, started or stopped.

StackError
├── DataDirInUseError        another stack holds the data directory
├── DataDirUnusableError     the data directory can't be made, or not written to
├── JarUnavailableError      a jar can't be fetched
├── JarCorruptError          a jar is not the one that the lock file names
├── StartError               a process ended or stayed silent while starting
└── NoUnprivilegedUserError  run as root, and no user to run PostgreSQL as
"""


class StackError(Exception):
    """The root of this package's errors. The message says what to do next."""

    code = "stack_error"


class DataDirInUseError(StackError):
    code = "data_dir_in_use"


class DataDirUnusableError(StackError):
    code = "data_dir_unusable"


class JarUnavailableError(StackError):
    code = "jar_unavailable"


class JarCorruptError(StackError):
    code = "jar_corrupt"


class StartError(StackError):
    code = "start_failed"


class NoUnprivilegedUserError(StackError):
    code = "no_unprivileged_user"
