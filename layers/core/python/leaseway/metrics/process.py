"""Metrics of the process itself: its start, and once a minute its CPU time and memory."""

import resource
import time

from leaseway.metrics.notes import note

_INTERVAL_SECONDS = 60.0

_last_report: float | None = None
_reported_cpu = 0.0  # seconds


def note_process(function: str) -> None:
    """Note the start of the environment at the first call, and its CPU time and memory at most once a minute."""
    global _last_report, _reported_cpu  # noqa: PLW0603 - the process's own
    now = time.monotonic()
    if _last_report is None:
        note("ColdStarts", function=function)
    if _last_report is None or now - _last_report >= _INTERVAL_SECONDS:
        _last_report = now
        cpu = time.process_time()
        note("CpuUsed", round((cpu - _reported_cpu) * 1000, 3), function=function)
        _reported_cpu = cpu
        note("MemoryUsed", peak_memory_kib() // 1024, function=function)


def peak_memory_kib() -> int:
    """The most memory that this process has used, in KiB, as Linux counts it for the program itself."""
    # `ru_maxrss` would be the parent's if that was more: it survives the start of another program.
    try:
        with open("/proc/self/status") as status:
            return int(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
