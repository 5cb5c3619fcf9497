"""Commands on a terminal: what a user, a page or a worker wrote is shown and cannot act, in live displays too."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leaseway_local.engine.paths import ROOT
from support.command_line import ACTS_ON_A_TERMINAL, run_command
from support.documented_answers import sample_answer
from support.quiet_machine import example
from support.stub_deployment import Answer, StubDeployment
from support.stubbed_command import replace_texts

COMMAND = (sys.executable, "-m", "support.stubbed_command")
PATHS = ("layers/core/python", "functions", "localstack", "tests")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in PATHS),
    "TERM": "xterm-256color",
    "COLUMNS": "400",
    "LINES": "100",
}
SECONDS = 60

TITLE = "\x1b]0;owned\x07"
HOSTILE_TEXTS = {
    "an OSC that sets the title": f"a {TITLE} b",
    "an OSC that writes the clipboard": "a \x1b]52;c;b3duZWQ=\x1b\\ b",
    "a CSI that clears the screen": "a \x1b[2J\x1b[H\x1b[31m b",
    "a DCS and an APC": "a \x1bPq\x1b\\ \x1b_x\x1b\\ b",
    "controls of C1": "a \x9b2J \x9d0;x\x9c \x90q\x9c \x85 b",
    "what turns the direction": "a \u202e\u2066\u2067\u200f\u061c b",
    "what ends a line": "a \r\x08\x0b\x0c\u2028\u2029 b",
    "half of a pair": "a \ud800 \udfff b",
    "NUL and DEL": "a \x00\x7f b",
    "markup": "a [bold red]x[/bold red] [link=file:///etc/passwd]y[/link] [/] \x1b b",
    "everything": f"{TITLE}\x1b[2J\x9b31m\x9d0;x\x9c\x7f\x08\r\x00\u202e\u2066\u200f\u2028\ud800[bold]x[/]\x1bPq\x1b\\",
}
COMMANDS = (
    "jobs get 1",
    "jobs list",
    "jobs wait 1",
    "jobs create SLEEP --wait",
    "top --looks 2 --seconds 0.2",
    "tasks watch --looks 2 --seconds 0.2",
    "logs worker",
)
# Colours, the cursor's visibility, and the erasing of lines with which rich redraws a display.
OWN_SEQUENCES = re.compile(r"\x1b\[([0-9;]*m|\?25[lh]|2?K|[0-9]*A|[0-9]*G)")


def run_on_terminal(command: str, text: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal. Returns its status and all that the terminal received."""
    master, slave = pty.openpty()
    environment = ENVIRONMENT | {"STUB_TEXT": json.dumps(text)}
    process = subprocess.Popen([*COMMAND, *command.split()], env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    received = b""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if select.select([master], [], [], 0.2)[0]:
            try:
                received += os.read(master, 65_536)
            except OSError:  # the last holder of the terminal has gone
                break
    os.close(master)
    return process.wait(SECONDS), received.decode()


def hold_that_nothing_acted(screen: str) -> None:
    text = OWN_SEQUENCES.sub("", screen).replace("\r", "")
    assert not ACTS_ON_A_TERMINAL & set(text), ascii(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_text_is_shown_escaped_by_each_command(command: str) -> None:
    status, screen = run_on_terminal(command, HOSTILE_TEXTS["everything"])

    hold_that_nothing_acted(screen)
    assert "\\x1b" in screen
    assert "Traceback" not in screen
    assert status == 0, screen


@pytest.mark.parametrize("kind", HOSTILE_TEXTS)
def test_each_kind_of_hostile_text_is_shown_escaped(surroundings: Path, kind: str) -> None:
    text = HOSTILE_TEXTS[kind]
    job = replace_texts(sample_answer("GET", "/api/v1/jobs/1", nulls=False), text, "FAILED")
    with example(StubDeployment(lambda _: Answer.of(job)), surroundings / "home"):
        end = run_command("jobs", "get", "1")

    assert (end.code, end.err) == (0, "")
    assert f"tags    {escape(text)}\n" in end.out
    assert f"error   {escape(text)}\n" in end.out


@pytest.mark.parametrize("kind", HOSTILE_TEXTS)
def test_each_kind_of_hostile_text_in_a_refusal_is_shown_escaped(surroundings: Path, kind: str) -> None:
    text = HOSTILE_TEXTS[kind]
    with example(StubDeployment(lambda _: Answer.of({"code": "NO", "detail": text}, 400)), surroundings / "home"):
        end = run_command("jobs", "get", "1")

    assert (end.code, end.err) == (1, f"NO: {escape(text)}\n")


def escape(text: str) -> str:
    """Show each character that acts on a terminal, or that has no UTF-8, as Python would write it."""
    acting = ACTS_ON_A_TERMINAL | set(map(chr, range(0xD800, 0xE000)))
    return "".join(ascii(each)[1:-1] if each in acting else each for each in text)
