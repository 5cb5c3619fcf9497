"""`leaseway deploy` of code that does not compile: the error names the user's file and the line."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from leaseway_local.deployment import layers, packaging, template
from leaseway_local.deployment.packaging import Archive
from support.command_line import CommandEnd, run_command
from support.documented_answers import sample_answer
from support.stub_deployment import Answer, StubDeployment

PLACES = {
    "a function": "functions/api/app.py",
    "an executor": "functions/worker/executors/mine.py",
    "a module beside the functions": "functions/shared.py",
    "the layer": "layers/core/leaseway/jobs.py",
    "a package of the layer": "layers/core/leaseway/rooms/__init__.py",
}
MISTAKES: dict[str, tuple[bytes, int]] = {
    "an unclosed parenthesis": (b"x = 1\ny = (\n", 2),
    "an unclosed text": (b"x = 1\n\n'''\n", 3),
    "a missing indentation": (b"def f():\nreturn 1\n", 2),
    "tabs and spaces": (b"if 1:\n\tx = 1\n        y = 1\n", 3),
    "a return outside of a function": (b"\n\n\nreturn\n", 4),
    "a repeated argument": (b"\ndef f(a, a): pass\n", 2),
    "a null byte": (b"x = 1\ny = 2\n\0\n", 3),
    "UTF-16": ("x = 1\n".encode("utf-16"), 1),
    "a byte that is not UTF-8": (b"x = 1\ny = '\xff'\n", 2),
    "an unknown encoding": (b"#!/usr/bin/python\n# coding: nope\n", 2),
    "an encoding beside a BOM": (b"\xef\xbb\xbf# coding: latin-1\n", 1),
    "a typographic quote": ("x = 1\ny = “1“\n".encode(), 2),
    "a merge conflict": (b"x = 1\n<<<<<<< HEAD\n", 2),
    "too many parentheses": (b"x = " + b"(" * 300 + b")" * 300, 1),
    "too deep an expression": (b"x = " + b"-" * 100_000 + b"1\n", 1),
    "Windows lines": (b"x = 1\r\ny = (\r\n", 2),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with one right module in each place, to be packaged for a stubbed deployment."""
    for place in PLACES.values():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("x = 1\n")
    for name in ("HOME", "ENGINE", "HOST"):
        monkeypatch.delenv(f"LEASEWAY_{name}", raising=False)
    monkeypatch.setenv("LEASEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEASEWAY_ENGINE", "localstack")
    monkeypatch.setenv("LOCALSTACK_HOST", "127.0.0.1:4566")
    runtime = Archive("runtime-layer", tmp_path / "functions/shared.py", "key", built=False)
    build_core, build_functions = packaging.build_core_layer, packaging.build_functions
    cache = tmp_path / "cache"
    with (
        patch.object(layers, "FUNCTIONS_SOURCE", tmp_path / "functions"),
        patch.object(layers, "CORE_SOURCE", tmp_path / "layers" / "core"),
        patch.object(layers.os, "cpu_count", lambda: 1),  # a pool of processes for five modules takes a second
        patch.object(packaging, "build_runtime_layer", lambda **_: runtime),
        patch.object(packaging, "build_core_layer", lambda target: build_core(target=target, cache=cache)),
        patch.object(
            packaging,
            "build_functions",
            lambda target, overlay: build_functions(target=target, overlay=overlay, cache=cache),
        ),
    ):
        yield tmp_path


@pytest.fixture(scope="module", autouse=True)
def template_read_once() -> Iterator[None]:
    source = template.read()
    with patch.object(template, "read", lambda: source):
        yield


def deploy() -> CommandEnd:
    stub = StubDeployment(lambda request: Answer.of(sample_answer(request.method, request.path)))
    with stub.install():
        return run_command("deploy")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_kind_of_mistake_is_named_by_file_and_line(project: Path, mistake: str) -> None:
    source, line = MISTAKES[mistake]
    path = project / PLACES["an executor"]
    path.write_bytes(source)

    end = deploy()

    assert end.code == 1
    assert f"{path}, line {line}: " in end.err
    assert "building-" not in end.err  # the folder that is deleted again
    assert len(end.err.splitlines()) == 2


@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_in_each_place_is_named_by_the_users_own_file(project: Path, place: str) -> None:
    path = project / PLACES[place]
    path.write_text("x = 1\n\nif x\n")

    end = deploy()

    assert (end.code, f"{path}, line 3: expected ':'" in end.err) == (1, True), end


@pytest.mark.parametrize("name", ["a\nb.py", "\udcff.py", "\x1b[2J.py", "a\u202eb.py", "\x7f.py"])
def test_a_file_whose_name_no_archive_holds_is_named(project: Path, name: str) -> None:
    (project / "functions" / name).write_text("x = 1\n")

    end = deploy()

    assert (end.code, end.out) == (1, "")
    assert "a file's name has characters that an archive cannot hold" in end.err


def test_what_was_corrected_is_deployed(project: Path) -> None:
    path = project / PLACES["a function"]
    path.write_text("x = (\n")
    assert deploy().code == 1

    path.write_text("x = ()\n")
    end = deploy()

    assert "line" not in end.err
    assert "does not run the code that was packaged for it" in end.err  # the stub has code of its own
