"""A child process that does not outlive its parent."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.stack.errors import StartError
from cli.stack.leftovers import forget, remember

_POLL_S = 0.02
_LOG_TAIL_LINES = 20
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: signal.Signals, parent: int) -> None:
    """Have the kernel send `death_signal` to this process when process `parent` ends.

    Linux only; elsewhere it does nothing, and the next start ends what is left over.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call, so no signal will come
        os._exit(1)


class ManagedProcess:
    """A child with a log file, in a process group of its own, so that Ctrl-C is its parent's.

    `name` names its log and its pid file; `user` is a (uid, gid) to run as. `start` must be
    called from the main thread: the kernel sends `death_signal` when the *thread* ends that
    forked the child.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        run_dir: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Path | None = None,
        user: tuple[int, int] | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.log_path = log_path
        self.death_signal = death_signal
        self._run_dir = run_dir
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._stdin = stdin or Path(os.devnull)
        self._user = user
        self._log_start = 0
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; returns at once."""
        if self.running:
            raise StartError(f"{self.name} is running already (pid {self.pid})")
        if threading.current_thread() is not threading.main_thread():
            raise StartError(f"start {self.name} from the main thread: it dies with its thread")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log, self._stdin.open("rb") as stdin:
            self._log_start = log.tell()
            self._child = self._spawn(stdin.fileno(), log.fileno())
        remember(self._run_dir, self.name, self._child.pid)

    def _spawn(self, stdin: int, log: int) -> subprocess.Popen[bytes]:
        parent = os.getpid()
        uid, gid = self._user or (None, None)
        return subprocess.Popen(
            self.argv,
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            user=uid,
            group=gid,
            extra_groups=None if gid is None else [],
            process_group=0,
            # Runs after the change of user, which would clear the setting again.
            preexec_fn=lambda: die_with_parent(self.death_signal, parent),  # noqa: PLW1509
        )

    @property
    def pid(self) -> int:
        """The process id; only of a process that was started."""
        if self._child is None:
            raise StartError(f"{self.name} was not started")
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs (or was never started), -n when signal n ended it."""
        return None if self._child is None else self._child.poll()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def wait(self) -> int:
        """Wait until it ends; gives its return code."""
        while (code := self.returncode) is None:  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(_POLL_S)
        return code

    async def run(self) -> int:
        """Start it and wait until it ends; gives its return code."""
        self.start()
        try:
            return await self.wait()
        finally:
            await self.kill()

    async def stop(
        self, timeout_s: float = 10.0, stop_signal: signal.Signals = signal.SIGTERM
    ) -> int | None:
        """Ask it to end, and kill it if it has not after `timeout_s`; gives its return code."""
        self.send_signal(stop_signal)
        deadline = time.monotonic() + timeout_s
        while self.running:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                await self.wait()
            await asyncio.sleep(_POLL_S)
        forget(self._run_dir, self.name)
        return self.returncode

    async def kill(self) -> int | None:
        """End it with SIGKILL, as a crash would; gives its return code."""
        return await self.stop(stop_signal=signal.SIGKILL)

    def send_signal(self, sig: signal.Signals) -> None:
        """Send a signal (SIGSTOP and SIGCONT pause and resume); nothing if it has ended."""
        if self._child is not None:
            self._child.send_signal(sig)

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The last lines that it logged since its last start."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def failure(self, what: str) -> StartError:
        """An error that says what happened, names the log file and shows its end."""
        tail = self.log_tail() or "(it logged nothing)"
        return StartError(f"{self.name} {what}. The end of its log {self.log_path}:\n{tail}")
