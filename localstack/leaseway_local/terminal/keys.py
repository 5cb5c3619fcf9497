"""Read single keys from a terminal, without Enter and without an echo."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits some seconds for a key; it returns "" if none came or there is no terminal.

    The terminal's settings are restored when the block is left.
    """
    if not sys.stdin.isatty():
        yield _wait_without_terminal
        return
    terminal = sys.stdin.fileno()
    settings = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)  # Ctrl-C stays a signal
    try:
        yield lambda seconds: _read_key(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, settings)


def _wait_without_terminal(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _read_key(terminal: int, seconds: float) -> str:
    ready, _, _ = select.select([terminal], [], [], seconds)
    pressed = os.read(terminal, 1) if ready else b""
    if ready and not pressed:
        time.sleep(seconds)  # the terminal is closed; do not spin
    return pressed.decode(errors="replace")
