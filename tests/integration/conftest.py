"""An engine and stacks for the integration tests: on a free port, in a folder of their own, beside any running cloud.

    def test_something(stack):                       # the stack that all tests share
        stack.api.post("/api/users", {"userId": "7", "balance": 5})

    def test_quick(make_stack):                      # another stack in the same engine, with other parameters
        stack = make_stack("quick", LeaseSeconds=3, SweeperEnabled=False)
        stack.invoke("SweeperFunction")

Stacks live as long as the session; one name and its parameters are deployed once. Of processes side by side
(`--numprocesses`) each is a session, with an engine of its own, or on LocalStack with stacks of its own.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaseway_local.connection.engine_choice import EngineName, read_choice
from support.deployed_stacks import DeployedStack
from support.stack_fixtures import engine, home, make_stack, stack, stacks  # noqa: F401 - fixtures

OF_MANY_MODULES = ("shared", "bank", "control", "nodes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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


@pytest.fixture(scope="module", autouse=True)
def _retire_stacks(stacks: dict[tuple[Any, ...], DeployedStack]) -> Iterator[None]:  # noqa: F811 - the fixture
    """LocalStack polls for each mapping and each function, for twenty stacks with a whole core: a module's own go."""
    yield
    for stack_key, idle in list(stacks.items()):
        if read_choice() is EngineName.LOCALSTACK and stack_key[0] not in OF_MANY_MODULES:
            idle.retire()
            stacks.pop(stack_key).api.close()
