"""Processes of an earlier run that are still alive, found by their pid files.

On Linux the kernel ends the children of a killed parent; this is the second net, and the
only one elsewhere. A process is ours only if it has the pid, the command line and the start
time on file: pids come round again.
"""

import contextlib
from pathlib import Path

import msgspec
import psutil

# Clocks are set and start times are computed from them, so allow for a small difference.
_START_TOLERANCE_S = 5.0
_END_TIMEOUT_S = 10.0


class _Identity(msgspec.Struct):
    pid: int
    started_at: float
    argv: list[str]


def remember(run_dir: Path, name: str, pid: int) -> None:
    """Write the pid file of a process that was just started."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        identity = _Identity(pid, process.create_time(), process.cmdline())
        _file(run_dir, name).write_bytes(msgspec.json.encode(identity))


def forget(run_dir: Path, name: str) -> None:
    """Remove the pid file of a process that has ended."""
    _file(run_dir, name).unlink(missing_ok=True)


def end_leftovers(run_dir: Path) -> list[str]:
    """Kill what an earlier run left, with its children; gives the names of what was found."""
    ended = []
    for file in sorted(run_dir.glob("*.pid")):
        process = _alive(file)
        if process is not None:
            _end(process)
            ended.append(file.stem)
        file.unlink()
    return ended


def end_processes_in(directory: Path, name: str) -> None:
    """Kill the processes called `name` whose working directory is `directory`."""
    found = [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == name and process.info["cwd"] == str(directory)
    ]
    _kill(found)


def _file(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.pid"


def _alive(file: Path) -> psutil.Process | None:
    try:
        known = msgspec.json.decode(file.read_bytes(), type=_Identity)
        process = psutil.Process(known.pid)
        same_start = abs(process.create_time() - known.started_at) < _START_TOLERANCE_S
        same = same_start and process.cmdline() == known.argv
    except (msgspec.DecodeError, psutil.Error):
        return None
    return process if same and process.status() != psutil.STATUS_ZOMBIE else None


def _end(process: psutil.Process) -> None:
    try:
        family = [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return
    _kill(family)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=_END_TIMEOUT_S)
