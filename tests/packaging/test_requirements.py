"""The pins: complete, equal in both files, and what is installed here."""

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from leaseway_local.engine.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = ROOT / "requirements.lock"
RUNTIME = ROOT / "layers" / "runtime" / "requirements.txt"
LEFT_OUT = [ROOT / "layers" / "runtime" / name for name in ("overrides.txt", "never-installed.txt")]


def pins(path):
    found = {}
    for line in path.read_text().splitlines():
        name, _, version = line.partition("==")
        assert re.fullmatch(r"[a-z0-9.-]+==[0-9][^\s;]*", line), f"{path.name}: {line!r} is not an exact version"
        found[canonicalize_name(name)] = version
    return found


def wanted():
    yield from map(Requirement, PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        yield from map(Requirement, extra)


def closure(names, without):
    """Those packages and all they need here and now, as their own metadata says."""
    found, waiting = set(), [(canonicalize_name(name), frozenset()) for name in names]
    while waiting:
        name, extras = waiting.pop()
        if name in found or name in without:
            continue
        found.add(name)
        for needed in map(Requirement, metadata.requires(name) or []):
            environments = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if needed.marker is None or any(needed.marker.evaluate(given) for given in environments):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found


def test_the_lock_satisfies_every_requirement_of_the_project():
    locked = pins(LOCK)

    unsatisfied = [
        str(requirement)
        for requirement in wanted()
        if locked.get(canonicalize_name(requirement.name)) is None
        or not requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
    ]
    assert unsatisfied == [], "run `make lock`"


def test_what_is_installed_is_what_the_lock_names():
    different = {
        name: (version, metadata.version(name))
        for name, version in pins(LOCK).items()
        if metadata.version(name) != version
    }

    assert different == {}, "run `make setup`"


def test_the_runtime_layer_holds_the_projects_dependencies_and_their_needs():
    lines = [line for path in LEFT_OUT for line in path.read_text().splitlines()]
    left_out = {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}
    direct = [Requirement(line).name for line in PROJECT["dependencies"]]

    assert set(pins(RUNTIME)) == closure(direct, left_out), "run `make lock`"


def test_both_files_pin_the_same_versions():
    locked = pins(LOCK)

    assert {name: locked.get(name) for name in pins(RUNTIME)} == pins(RUNTIME)


def test_the_engine_is_pinned_exactly():
    assert "ministack==1.5.33" in PROJECT["optional-dependencies"]["local"]
