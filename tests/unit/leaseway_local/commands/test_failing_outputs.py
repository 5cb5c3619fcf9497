"""Every command whose output fails: a full disk is named, and a reader that has left is no failure worth a word."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from support.command_line import CommandEnd, run_command
from support.documented_answers import sample_answer
from support.quiet_machine import ARGUMENTS, COMMANDS, example
from support.stub_deployment import Answer, ApiRequest, StubDeployment


def open_closed_pipe() -> TextIO:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def open_full_disk() -> TextIO:
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")


def answer_as_documented(request: ApiRequest) -> Answer:
    return Answer.of(sample_answer(request.method, request.path.partition("?")[0]))


def run(home: Path, words: tuple[str, ...], **streams: TextIO) -> CommandEnd:
    with example(StubDeployment(answer_as_documented), home):
        return run_command(*words, *ARGUMENTS.get(words, ()), stdin="y\n", **streams)


def close(stream: TextIO) -> None:
    """Close a stream to which nothing can be written; what it holds is lost."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    stream.close()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_named_and_a_closed_pipe_is_not(surroundings: Path, words: tuple[str, ...]) -> None:
    usual = run(surroundings / "home", words)
    full, gone = open_full_disk(), open_closed_pipe()
    on_full = run(surroundings / "home", words, stdout=full)
    on_gone = run(surroundings / "home", words, stdout=gone)
    close(full)
    close(gone)

    assert on_full.code == on_gone.code == (1 if usual.out else usual.code)
    assert ("✗ the output: No space left on device\n" in on_full.err) is bool(usual.out)
    if usual.out:
        assert "✗" not in on_gone.err


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("open_failing", [open_full_disk, open_closed_pipe])
def test_messages_that_cannot_be_written_end_the_command_quietly(
    surroundings: Path, words: tuple[str, ...], open_failing: Callable[[], TextIO]
) -> None:
    usual, failing = run(surroundings / "home", words), open_failing()
    end = run(surroundings / "home", words, stderr=failing)
    close(failing)

    assert end.code == (1 if usual.err else usual.code)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("jobs",), ("jobs", "list", "--help"), ("ledger", "--help")])
def test_help_that_cannot_be_written_is_one_line(surroundings: Path, arguments: tuple[str, ...]) -> None:
    full = open_full_disk()
    end = run_command(*arguments, stdout=full)
    close(full)

    assert (end.code, end.err) == (1, "✗ the output: No space left on device\n")


@pytest.mark.parametrize(
    "arguments", [("jobs", "get", ""), ("jobs", "x"), ("nothing",), ("jobs", "list", "--size", "x"), ("top", "--no")]
)
def test_a_refusal_of_arguments_that_cannot_be_written_is_quiet(surroundings: Path, arguments: tuple[str, ...]) -> None:
    full = open_full_disk()
    end = run_command(*arguments, stderr=full)
    close(full)

    assert (end.code, end.out) == (1, "")
