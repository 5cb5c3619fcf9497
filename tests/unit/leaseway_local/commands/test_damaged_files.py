"""Every file of a local cloud's folder, damaged in many ways: a command works without it, or names it in one line."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from leaseway_local.engine import processes
from leaseway_local.engine.daemon import Daemon
from support.command_line import CommandEnd, run_command
from support.documented_answers import sample_answer
from support.stub_deployment import API_PATH, Answer, ApiRequest, StubDeployment

HOST = "127.0.0.1:4566"
API_URL = f"http://{HOST}{API_PATH}"
SESSION = {
    "api_url": API_URL,
    "current": "kim",
    "users": {"kim": {"token": "saved-token", "good_until": 9e9, "password": ""}},
}
RECORD = {"pid": os.getpid(), "mark": processes.start_mark(os.getpid()), "port": 4566, "started_at": time.time()}


def write(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def make_link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere/at/all")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": write(b""),
    "a directory": lambda path: path.mkdir(),
    "binary": write(bytes(range(256))),
    "UTF-16": write("{}".encode("utf-16")),
    "a BOM": write(b"\xef\xbb\xbf{}"),
    "null": write(b"null"),
    "a list": write(b"[]"),
    "another object": write(b'{"a": 1}'),
    "cut off": write(b'{"api_url": "http://127'),
    "deep": write(b"[" * 100_000),
    "huge": write(b'{"a": "' + b"x" * 5_000_000 + b'"}'),
    "a link to itself": make_link_to_itself,
    "a link to nothing": make_link_to_nothing,
}


def answer_as_documented(request: ApiRequest) -> Answer:
    return Answer.of(sample_answer(request.method, request.path.partition("?")[0]))


@pytest.fixture
def home(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = surroundings / "home"
    folder.mkdir()
    monkeypatch.setenv("LEASEWAY_ENGINE", "localstack")
    return folder


def run(*arguments: str) -> CommandEnd:
    with StubDeployment(answer_as_documented).install(), patch.object(time, "sleep", lambda _: None):
        return run_command(*arguments)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_session_counts_as_none(home: Path, damage: str) -> None:
    path = home / "signed-in-localstack.json"
    DAMAGES[damage](path)

    end = run("jobs", "get", "1")

    if damage == "a directory":
        assert (end.code, end.err) == (1, f"✗ {path}: Is a directory\n")
    else:
        assert (end.code, end.err) == (0, "")
        assert json.loads(path.read_text())["current"] == "admin"


@pytest.mark.parametrize(
    "changes",
    [
        {"api_url": 5},
        {"api_url": "http://another"},
        {"current": None},
        {"users": []},
        {"users": {"kim": None}},
        {"users": {"kim": {"token": "a b"}}},
        {"users": {"kim": {"token": "a\nb: c"}}},
        {"users": {"kim": {"token": "é"}}},
        {"users": {"kim": {"token": "saved-token", "good_until": "soon"}}},
        {"users": {"kim": {"token": "saved-token", "good_until": -1e308}}},
        {"current": "nobody"},
    ],
)
def test_a_session_that_cannot_be_used_is_never_sent(home: Path, changes: dict[str, object]) -> None:
    path = home / "signed-in-localstack.json"
    path.write_text(json.dumps(SESSION | changes))

    end = run("token")

    assert "saved-token" not in end.out
    assert end.code in (0, 1)
    assert end.code == 0 or "the session of" in end.err


def test_a_whole_session_is_used(home: Path) -> None:
    (home / "signed-in-localstack.json").write_text(json.dumps(SESSION))

    end = run("token")

    assert (end.code, end.out, end.err) == (0, "saved-token\n", "")


def test_of_a_name_twice_the_last_counts(home: Path) -> None:
    whole = json.dumps(SESSION)
    (home / "signed-in-localstack.json").write_text('{"api_url": "http://another", ' + whole[1:])

    assert run("token").out == "saved-token\n"


COMMANDS_OF_THE_ENGINE = ("status", "outputs", "jobs get 1", "logs", "logs engine", "token", "node", "api-local")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS_OF_THE_ENGINE)
def test_a_damaged_record_counts_as_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, damage: str
) -> None:
    monkeypatch.delenv("LEASEWAY_ENGINE")
    DAMAGES[damage](home / "engine.json")

    end = run(*command.split())

    named = f"{home / 'engine.json'}: " in end.err and damage in {"a directory", "a link to itself"}
    assert end.code == 1
    assert named or any(text in end.out + end.err for text in ("stopped", "not running", "has written no log")), end


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["monitor.json", "signed-in-local.json", "forwarded.jsonl", "outputs-local.json"])
@pytest.mark.parametrize("command", ["status", "jobs get 1", "logs"])
def test_a_damaged_file_beside_a_running_engine_is_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, name: str, damage: str
) -> None:
    monkeypatch.delenv("LEASEWAY_ENGINE")
    (home / "engine.json").write_text(json.dumps(RECORD))
    DAMAGES[damage](home / name)

    with patch.object(Daemon, "answers", lambda daemon, record: True):
        end = run(*command.split())

    assert end.code in (0, 1)
    assert end.code == 0 or command == "status" or f"{home / name}: " in end.err, end


@pytest.mark.parametrize("name", ["deployment-lock", "outputs-localstack.json"])
@pytest.mark.parametrize("damage", ["a directory", "a link to itself", "a link to nothing"])
def test_a_file_that_a_deployment_cannot_write_is_named(home: Path, name: str, damage: str) -> None:
    DAMAGES[damage](home / name)

    end = run("deploy")

    assert end.code == 1
    assert f"✗ {home / name}: " in end.err


@pytest.mark.parametrize("content", [b"\xff\xfe\x1b]0;x\x07", b"\x1b[2J", b"", b"\0" * 10, "é\u202e".encode()])
def test_a_log_of_any_bytes_is_shown_escaped(home: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.delenv("LEASEWAY_ENGINE")
    (home / "engine.log").write_bytes(content + b"the end\n")

    end = run("logs", "engine")

    assert (end.code, end.err) == (0, "")
    assert end.out.endswith("the end\n")


@pytest.mark.parametrize("place", ["a-file", "a-file/below", "x" * 300, "a-link"])
@pytest.mark.parametrize("command", ["deploy", "login", "jobs get 1", "token"])
def test_a_home_that_cannot_be_made_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str, command: str
) -> None:
    (home / "a-file").touch()
    make_link_to_itself(home / "a-link")
    monkeypatch.setenv("LEASEWAY_HOME", str(home / place))

    end = run(*command.split())

    assert end.code == 1
    assert f"✗ {home / place}" in end.err


@pytest.mark.parametrize("command", COMMANDS_OF_THE_ENGINE)
@pytest.mark.parametrize(
    "failure", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error"), OSError(116, "Stale file")]
)
def test_a_record_that_may_not_be_read_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, failure: OSError
) -> None:
    monkeypatch.delenv("LEASEWAY_ENGINE")
    path = home / "engine.json"
    path.write_text(json.dumps(RECORD))

    def refuse(read: Path) -> bytes:
        raise OSError(failure.errno, failure.strerror, str(read))

    with patch.object(Path, "read_bytes", refuse):
        end = run(*command.split())

    if command == "logs engine":
        assert "has written no log" in end.err
    else:
        assert (end.code, end.err) == (1, f"✗ {path}: {failure.strerror}\n")


@pytest.mark.parametrize("listening", [True, False])
def test_api_local_needs_a_free_port(home: Path, monkeypatch: pytest.MonkeyPatch, listening: bool) -> None:
    monkeypatch.delenv("LEASEWAY_ENGINE")
    (home / "engine.json").write_text(json.dumps(RECORD))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        if listening:
            server.listen()
        else:
            server.close()

        end = run("api-local", "--port", str(port))

    assert end.code == (1 if listening else 0), end
    assert (f"✗ port {port} is taken by " in end.err) is listening
