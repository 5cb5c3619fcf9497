"""How the process of a command ends when its output is closed, or at Ctrl-C: by its status, and without a traceback."""

import os
import signal
import subprocess
import sys

import pytest

from leaseway_local.engine.paths import ROOT

PATHS = ("layers/core/python", "functions", "localstack", "tests")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in PATHS)}
COMMAND = (sys.executable, "-m", "support.stubbed_command")
SECONDS = 60
LISTS = ("jobs list", "jobs list --json", "tasks list", "dead-letters list", "errors", "tasks history")


def run_in_shell(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script of bash in which `$COMMAND` is `leaseway`."""
    environment = ENVIRONMENT | variables | {"COMMAND": " ".join(COMMAND)}
    shell = ["bash", "-o", "pipefail", "-c", script]
    return subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.parametrize("command", LISTS)
def test_a_reader_that_leaves_ends_the_command_quietly(command: str) -> None:
    ended = run_in_shell(f"$COMMAND {command} | true")
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("command", LISTS[:3])
def test_a_reader_that_stays_gets_everything(command: str) -> None:
    ended = run_in_shell(f"$COMMAND {command} | tail -1 >/dev/null")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", LISTS)
def test_a_full_disk_is_named(command: str) -> None:
    ended = run_in_shell(f"$COMMAND {command} >/dev/full")
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_failure(redirections: str) -> None:
    ended = run_in_shell(f"$COMMAND jobs get {'0' * 32} {redirections}")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252", "ascii:strict"])
def test_an_output_of_another_encoding_is_no_failure(encoding: str) -> None:
    ended = run_in_shell("$COMMAND jobs list", PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", ["jobs list --all", "tasks list", "errors", "top", "jobs wait 1"])
def test_ctrl_c_ends_with_130_and_no_traceback(command: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, *command.split()],
        env=ENVIRONMENT | {"STUB_ANSWERS_LATE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it takes no lock
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in errors
