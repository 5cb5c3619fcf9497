"""A LocalStack of a command's own ends with that command, however it ends."""

import signal
import subprocess
import sys

INSIDE = """
from contextlib import contextmanager
from leaseway_local.localstack import run

@contextmanager
def running():
    try:
        yield "127.0.0.1:4566"
    finally:
        print("ended", flush=True)

run._raise_loopback = lambda: None
run.running = running
run._inside(["sh", "-c", "echo started; exec sleep 60"])
"""


def test_a_localstack_ends_with_its_command() -> None:
    with subprocess.Popen([sys.executable, "-c", INSIDE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"

        process.terminate()

        assert process.stdout.read() == "ended\n"
    assert process.returncode == 128 + signal.SIGTERM
