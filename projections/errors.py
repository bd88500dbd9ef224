"""Errors of the read side.

ProjectionError
├── NotInstalledError       the database has no read models, or those of another release
├── DatabaseRefusedError    the database does not let this process in
├── UnknownProjectionError  there is no read model of this name
├── ReplayFailedError       an entry cannot follow the ones before it: the log is broken
└── RebuildError            a rebuild ended without a flip; the live model is as it was
    ├── RebuildRunningError     another one is at it
    ├── RebuildDiffersError     the new generation is not what a replay gives
    └── FlipBlockedError        a reader did not let go of the model
"""


class ProjectionError(Exception):
    """Every error of the read side; `code` is stable, the text says what to do next."""

    code = "projection_error"


class NotInstalledError(ProjectionError):
    """Somebody has to migrate or rebuild first."""

    code = "not_installed"


class DatabaseRefusedError(ProjectionError):
    """Trying again cannot help: the address, the role or the password is wrong."""

    code = "database_refused"


class UnknownProjectionError(ProjectionError):
    """A name that no read model has."""

    code = "unknown_projection"


class ReplayFailedError(ProjectionError):
    """An entry that is no entry, or that cannot follow."""

    code = "replay_failed"


class RebuildError(ProjectionError):
    """The live model is as it was."""

    code = "rebuild_failed"


class RebuildRunningError(RebuildError):
    """One rebuild of a model at a time."""

    code = "rebuild_running"


class RebuildDiffersError(RebuildError):
    """The SQL that fills the model and the replay do not agree."""

    code = "rebuild_differs"


class FlipBlockedError(RebuildError):
    """A long transaction reads the model."""

    code = "flip_blocked"
