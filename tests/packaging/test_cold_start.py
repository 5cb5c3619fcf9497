"""A cold start in counts: what each function imports beyond a bare handler that builds the same clients.

`make bench-cold` measures the milliseconds, which depend on the machine; the modules do not.
"""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.cold_start import BARE, CLIENTS, OURS, handlers

MOST_MODULES = 145
"""The API imported 179 before its blueprints came with their requests, a quarter more CPU than the bare handler. With
141 small modules the scheduler takes 1.1 times the bare handler's CPU at most."""

COLLECTED = """
import gc, importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
before = gc.get_stats()[2]["collections"]
importlib.import_module(sys.argv[2])
print(json.dumps([gc.get_stats()[2]["collections"] - before, gc.get_freeze_count(), gc.isenabled()]))
"""

IMPORTED = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
exec(sys.argv[2])
bare = set(sys.modules)
exec(sys.argv[3])
print(json.dumps(sorted(set(sys.modules) - bare)))
"""


def test_every_function_has_a_bare_handler_to_be_compared_with() -> None:
    assert set(CLIENTS) == set(handlers())


@pytest.fixture(scope="module")
def list_imported_modules(in_a_bare_interpreter: Callable[..., Any]) -> Callable[[str], list[str]]:
    """The modules that a function has imported when it waits for its first event, but for those of the bare handler."""

    def list_imports(name: str) -> list[str]:
        clients = CLIENTS[name]
        ours = OURS.format(module=handlers()[name], clients=clients)
        return in_a_bare_interpreter(IMPORTED, BARE.format(clients=clients), ours)

    return list_imports


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_a_function_loads_out_of_the_collectors_sight(name: str, in_a_bare_interpreter: Callable[..., Any]) -> None:
    """See `leaseway.coldstart`: passes of the garbage collector over modules are a quarter of a start."""
    passes, frozen, enabled = in_a_bare_interpreter(COLLECTED, handlers()[name])

    assert (passes, enabled) == (0, True)
    assert frozen > 10_000


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_a_function_imports_few_modules_beyond_the_bare_handlers(
    name: str, list_imported_modules: Callable[[str], list[str]]
) -> None:
    modules = list_imported_modules(name)

    assert f"{name}.app" in modules or name in modules
    assert len(modules) <= MOST_MODULES, modules


def test_the_api_starts_without_the_nouns_that_its_first_request_may_not_be_about(
    list_imported_modules: Callable[[str], list[str]],
) -> None:
    nouns = ("api.blueprints.", "leaseway.jobs", "leaseway.ledger", "leaseway.tasks", "leaseway.generator")

    assert [module for module in list_imported_modules("api") if module.startswith(nouns)] == []
