"""Processes and ports of this machine: identify, find and end them."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def start_mark(pid: int) -> str | None:
    """A mark that a later process with the same id does not have, or None if the process is gone or a zombie."""
    if (_PROC / "self").exists():
        with contextlib.suppress(OSError):
            # A process chooses its own name, which may be any bytes.
            fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
        return None
    listing = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip() or None


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process with this id still has this mark."""
    return start_mark(pid) == mark


def running_with(argument: str) -> list[int]:
    """Ids of the other processes whose command line contains `argument`."""
    return [pid for pid, line in _command_lines() if argument in line and pid != os.getpid()]


def _command_lines() -> Iterable[tuple[int, str]]:
    if not (_PROC / "self").exists():
        listing = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True, check=False).stdout
        yield from ((int(pid), args) for pid, _, args in (line.strip().partition(" ") for line in listing.splitlines()))
        return
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def end(pids: Iterable[int], *, grace: float) -> None:
    """Send SIGTERM to the processes, and SIGKILL to those that still run after `grace` seconds."""
    marks = {pid: mark for pid in pids if (mark := start_mark(pid))}
    for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for pid, mark in marks.items():
            if is_alive(pid, mark):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal_number)
        if wait_until(lambda: not any(is_alive(pid, mark) for pid, mark in marks.items()), seconds):
            return


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.05) -> bool:
    """Wait until the condition is true. Returns whether it was within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nothing listens on. Another process may take it first: be ready to ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_owner(port: int) -> str:
    """The process that listens on a port, as `name (pid 123)`; `another program` if the system does not show it."""
    pid = _owner_by_proc(port) if (_PROC / "net" / "tcp").exists() else _owner_by_lsof(port)
    return _describe(pid) if pid else "another program"


def _owner_by_proc(port: int) -> int | None:
    inodes = set(_listening_inodes(port))
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and inodes & set(_socket_inodes(entry / "fd")):
            return int(entry.name)
    return None


def _listening_inodes(port: int) -> Iterable[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _LISTENING:
                    yield fields[9]


def _socket_inodes(descriptors: Path) -> Iterable[str]:
    with contextlib.suppress(OSError):
        for descriptor in descriptors.iterdir():
            with contextlib.suppress(OSError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                    yield match.group(1)


def _owner_by_lsof(port: int) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        listing = subprocess.run(
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"], capture_output=True, text=True, check=False
        )
        return int(listing.stdout.split()[0]) if listing.stdout.split() else None
    return None


def _describe(pid: int) -> str:
    for candidate, line in _command_lines():
        if candidate == pid:
            words = line.split()
            name = Path(words[0]).name if words else "a process"
            return f"{name} {' '.join(words[1:3])}".strip()[:60] + f" (pid {pid})"
    return f"process {pid}"
