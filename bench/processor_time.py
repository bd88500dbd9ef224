"""Processor time of processes and all that they have started."""

from collections.abc import Mapping

import psutil


def processor_times(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds on a processor so far, by the names that the pids have here."""
    return {name: _whole(psutil.Process(pid)) for name, pid in pids.items()}


def _whole(process: psutil.Process) -> float:
    ended = process.cpu_times()
    return (
        sum(_own(each) for each in (process, *process.children(recursive=True)))
        + ended.children_user
        + ended.children_system
    )


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
