"""Processes of the local Lambda in which workers run."""

import os
import signal
from pathlib import Path


def kill_worker(log_stream: str) -> None:
    """SIGKILL the worker of that name, as a machine that vanishes would."""
    process = find_process(log_stream)
    assert process is not None, f"no process is the worker {log_stream}"
    os.kill(process, signal.SIGKILL)


def find_process(log_stream: str) -> int | None:
    """Find the process of the local Lambda environment with that log stream, which is a worker's name."""
    variable = f"AWS_LAMBDA_LOG_STREAM_NAME={log_stream}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if variable in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
            except OSError:
                continue  # it ended, or is another user's
    return None
