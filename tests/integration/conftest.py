"""An engine and stacks for the integration tests: on a free port, in a folder of their own, beside any running cloud.

    def test_something(stack):                       # the stack that all tests share
        stack.api.post("/api/users", {"userId": "7", "balance": 5})

    def test_quick(make_stack):                      # another stack in the same engine, with other parameters
        stack = make_stack("quick", LeaseSeconds=3, SweeperEnabled=False)
        stack.invoke("SweeperFunction")

Stacks live as long as the session; one name and its parameters are deployed once. Of processes side by side
(`--numprocesses`) each is a session, with an engine of its own, or on LocalStack with stacks of its own.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaseway_local.connection.engine_choice import EngineName, read_choice
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from support.deployed_stacks import DeployedStack, LocalStack, deploy, start_engine

OF_MANY_MODULES = ("shared", "bank", "control", "nodes")

OF_THIS_PROCESS = f"-{process}" if (process := os.environ.get("PYTEST_XDIST_WORKER")) else ""
"""What tells its stacks from those of the process beside it."""


def pytest_collection_modifyitems(items):
    """What one engine alone can show, or what shows nothing of one, is skipped on the other, with its mark's reason."""
    for item in items:
        mark = item.get_closest_marker("only_on")
        if mark and read_choice().value != mark.args[0]:
            item.add_marker(pytest.mark.skip(reason=f"only on {mark.args[0]}: {mark.kwargs['because']}"))
        mark = item.get_closest_marker("of_no_engine")
        if mark and read_choice() is not EngineName.MINISTACK:
            item.add_marker(pytest.mark.skip(reason=f"on one engine is enough: {mark.kwargs['because']}"))


@pytest.fixture(scope="session")
def many() -> Callable[[int], int]:
    """`many(2_000)` of a crowd: all on MiniStack, a fifth on LocalStack, whose requests take five times as long."""
    return lambda number: number // 5 if read_choice() is EngineName.LOCALSTACK else number


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Home:
    """The folder of the session's engine."""
    return Home(tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="session")
def engine(home):
    """The session's engine: a process of its own, or with LEASEWAY_ENGINE=localstack the one at LOCALSTACK_HOST."""
    if read_choice() is EngineName.LOCALSTACK:
        yield LocalStack(os.environ["LOCALSTACK_HOST"])
        return
    record = start_engine(home, PERSIST_STATE="0")  # nothing of it is wanted after the session
    yield record
    Engine(home).stop()
    assert not Engine(home).functions(), "the engine left functions running"


@pytest.fixture(scope="session")
def deployed() -> dict[tuple, DeployedStack]:
    """The stacks that were deployed so far, each by its name, overlay and parameters."""
    return {}


@pytest.fixture(scope="module", autouse=True)
def _retire_stacks(deployed):
    """LocalStack polls for each mapping and each function, for twenty stacks with a whole core: a module's own go."""
    yield
    for wanted, stack in list(deployed.items()):
        if read_choice() is EngineName.LOCALSTACK and wanted[0] not in OF_MANY_MODULES:
            stack.retire()
            deployed.pop(wanted).api.close()


@pytest.fixture(scope="session")
def make_stack(engine, home, deployed):
    """Deploys a stack: `make_stack(name, overlay=folder with more functions code, **template parameters)`."""

    def make(name: str, *, overlay: Path | None = None, **parameters: Any) -> DeployedStack:
        given = {key: _as_parameter(value) for key, value in parameters.items()}
        wanted = (name, overlay, tuple(sorted(given.items())))
        if wanted not in deployed:
            deployed[wanted] = deploy(engine, home, f"leaseway-{name}{OF_THIS_PROCESS}", given, overlay)
        return deployed[wanted]

    yield make
    for stack in deployed.values():
        stack.api.close()


@pytest.fixture(scope="session")
def stack(make_stack) -> DeployedStack:
    """The stack that tests share; each test uses accounts and jobs of its own."""
    return make_stack("shared")


def _as_parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
