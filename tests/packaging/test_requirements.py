"""The pins: complete, public, the same in every file, and what is installed here."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from leaseway_local.engine.paths import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LOCK = ROOT / "uv.lock"
LOCKED_PACKAGES: list[dict[str, Any]] = tomllib.loads(LOCK.read_text())["package"]
RUNTIME = ROOT / "layers" / "runtime" / "requirements.txt"
RUNTIME_OVERRIDES = ROOT / "layers" / "runtime" / "overrides.txt"
PUBLIC_HOSTS = {"pypi.org", "files.pythonhosted.org"}


def read_runtime_pins() -> dict[str, str]:
    pins: dict[str, str] = {}
    for line in RUNTIME.read_text().splitlines():
        name, _, version = line.partition("==")
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][^\s;]*", line), f"{RUNTIME.name}: {line!r} is not an exact version"
        pins[canonicalize_name(name)] = version
    return pins


def read_names_left_out() -> set[str]:
    lines = RUNTIME_OVERRIDES.read_text().splitlines()
    overrides = [line for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(Requirement(line).name)
        for line in overrides + PYPROJECT["tool"]["uv"]["override-dependencies"]
    }


def find_urls(value: object) -> set[str]:
    """Every URL anywhere in a part of the lock."""
    match value:
        case dict():
            return set().union(*map(find_urls, value.values()))
        case list():
            return set().union(*map(find_urls, value))
        case str() if "://" in value:
            return {value}
    return set()


def closure(names: list[str], without: set[str]) -> set[str]:
    """Those packages and all they need here and now, as their own metadata says."""
    reached: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [(canonicalize_name(name), frozenset()) for name in names]
    while waiting:
        name, extras = waiting.pop()
        if name in reached or name in without:
            continue
        reached.add(name)
        for needed in map(Requirement, metadata.requires(name) or []):
            environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(environment) for environment in environments):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return reached


def test_the_lock_satisfies_the_project_and_is_what_is_installed() -> None:
    command = [
        str(Path(sys.executable).with_name("uv")),
        "sync",
        "--python",
        sys.executable,
        "--check",
        "--locked",
        "--offline",
        "--extra",
        "local",
    ]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, f"run `make lock` or `make setup`: {result.stderr}"


def test_the_lock_names_no_host_but_the_public_index() -> None:
    urls = find_urls(LOCKED_PACKAGES)

    assert {urlsplit(url).hostname for url in urls} == PUBLIC_HOSTS
    assert {urlsplit(url).scheme for url in urls} == {"https"}


def test_the_runtime_layer_holds_the_projects_dependencies_and_their_needs() -> None:
    direct = [Requirement(line).name for line in PROJECT["dependencies"]]

    assert set(read_runtime_pins()) == closure(direct, read_names_left_out()), "run `make lock`"


def test_the_lock_and_the_runtime_layer_pin_the_same_versions() -> None:
    locked = {(package["name"], package["version"]) for package in LOCKED_PACKAGES}

    assert set(read_runtime_pins().items()) - locked == set()


def test_the_engine_is_pinned_exactly() -> None:
    assert "ministack==1.5.33" in PROJECT["optional-dependencies"]["local"]


def test_every_file_names_the_same_uv() -> None:
    (requirement,) = [line for line in PYPROJECT["dependency-groups"]["dev"] if line.startswith("uv==")]
    version = requirement.removeprefix("uv==")

    assert f"UV_VERSION := {version}\n" in (ROOT / "Makefile").read_text()
    assert f" uv=={version} " in (ROOT / "localstack" / "Dockerfile").read_text()
