"""An engine and stacks for the integration tests: on a free port, in a folder of their own, beside any running cloud.

    def test_something(stack):                       # the stack that all tests share
        stack.api.post("/api/users", {"userId": "7", "balance": 5})

    def test_quick(make_stack):                      # another stack in the same engine, with other parameters
        stack = make_stack("quick", LeaseSeconds=3, SweeperEnabled=False)
        stack.invoke("SweeperFunction")

Stacks live as long as the session; one name and its parameters are deployed once.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from deployed import DeployedStack, LocalStack, deploy, start_engine
from leaseway_local.engine import Engine
from leaseway_local.engines import EngineName, chosen
from leaseway_local.places import Home


def pytest_collection_modifyitems(items):
    """What only one engine can show is skipped on the other, with the reason that its mark gives."""
    for item in items:
        mark = item.get_closest_marker("only_on")
        if mark and chosen().value != mark.args[0]:
            item.add_marker(pytest.mark.skip(reason=f"only on {mark.args[0]}: {mark.kwargs['because']}"))


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Home:
    """The folder of the session's engine."""
    return Home(tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="session")
def engine(home):
    """The session's engine: a process of its own, or with LEASEWAY_ENGINE=localstack the one at LOCALSTACK_HOST."""
    if chosen() is EngineName.LOCALSTACK:
        yield LocalStack(os.environ["LOCALSTACK_HOST"])
        return
    record = start_engine(home)
    yield record
    Engine(home).stop()
    assert not Engine(home).functions(), "the engine left functions running"


@pytest.fixture(scope="session")
def make_stack(engine, home):
    """Deploys a stack: `make_stack(name, overlay=folder with more functions code, **template parameters)`."""
    deployed: dict[tuple, DeployedStack] = {}

    def make(name: str, *, overlay: Path | None = None, **parameters: Any) -> DeployedStack:
        given = {key: _as_parameter(value) for key, value in parameters.items()}
        wanted = (name, overlay, tuple(sorted(given.items())))
        if wanted not in deployed:
            deployed[wanted] = deploy(engine, home, f"leaseway-{name}", given, overlay)
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
