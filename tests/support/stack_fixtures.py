"""Fixtures of the session's engine and of its stacks; the conftests of tests on deployed stacks import them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaseway_local.connection.engine_choice import EngineName, read_choice
from leaseway_local.engine.ministack import Engine
from leaseway_local.engine.paths import Home
from support.deployed_stacks import AnyEngine, DeployedStack, LocalStack, StackFactory, deploy, start_engine

PROCESS_SUFFIX = f"-{process}" if (process := os.environ.get("PYTEST_XDIST_WORKER")) else ""
"""Distinguishes its stacks from those of another pytest process."""


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The folder of the session's engine."""
    return Home(tmp_path_factory.mktemp("cloud"))


@pytest.fixture(scope="session")
def engine(home: Home) -> Iterator[AnyEngine]:
    """The session's engine: a process of its own, or with LEASEWAY_ENGINE=localstack the one at LOCALSTACK_HOST."""
    if read_choice() is EngineName.LOCALSTACK:
        yield LocalStack(os.environ["LOCALSTACK_HOST"])
        return
    record = start_engine(home, PERSIST_STATE="0")  # nothing is read after the session
    yield record
    Engine(home).stop()
    assert not Engine(home).functions(), "the engine left functions running"


@pytest.fixture(scope="session")
def stacks() -> dict[tuple, DeployedStack]:
    """The stacks that were deployed so far, each by its name, overlay and parameters."""
    return {}


@pytest.fixture(scope="session")
def make_stack(engine: AnyEngine, home: Home, stacks: dict[tuple[Any, ...], DeployedStack]) -> Iterator[StackFactory]:
    """Deploys a stack: `make_stack(name, overlay=folder with more functions code, **template parameters)`."""

    def make(name: str, *, overlay: Path | None = None, **parameters: Any) -> DeployedStack:
        texts = {key: _as_parameter(value) for key, value in parameters.items()}
        stack_key = (name, overlay, tuple(sorted(texts.items())))
        if stack_key not in stacks:
            stacks[stack_key] = deploy(engine, home, f"leaseway-{name}{PROCESS_SUFFIX}", texts, overlay)
        return stacks[stack_key]

    yield make
    for stack in stacks.values():
        stack.api.close()


@pytest.fixture(scope="session")
def stack(make_stack: StackFactory) -> DeployedStack:
    """The stack that tests share; each test uses accounts and jobs of its own."""
    return make_stack("shared")


def _as_parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
