"""A LocalStack of a command's own ends with that command, however it ends."""

import signal
import subprocess
import sys

import pytest

INSIDE = """
from contextlib import contextmanager
from leaseway_local import localstack_run

@contextmanager
def running():
    try:
        yield "127.0.0.1:4566"
    finally:
        print("ended", flush=True)

localstack_run._raise_loopback = lambda: None
localstack_run.running = running
localstack_run._inside(["sh", "-c", "echo started; exec sleep 60"])
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_localstack_ends_with_the_command_that_was_to_use_it(how):
    with subprocess.Popen([sys.executable, "-c", INSIDE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "started\n"

        process.send_signal(how)

        assert process.stdout.read() == "ended\n"
    assert process.returncode != 0
