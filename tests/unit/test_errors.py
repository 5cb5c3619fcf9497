"""The tree of errors at the head of `leaseway.errors` is the real one."""

import importlib
import pkgutil
from collections.abc import Iterator

import leaseway
from leaseway import errors
from leaseway.errors import LeasewayError


def draw(error: type[LeasewayError], depth: int = 1) -> Iterator[str]:
    yield "    " * depth + error.__name__
    for child in sorted(error.__subclasses__(), key=lambda each: each.__name__):
        if child.__module__.startswith("leaseway."):
            yield from draw(child, depth + 1)


def test_the_tree_in_the_docstring_is_the_hierarchy_of_the_classes() -> None:
    for module in pkgutil.walk_packages(leaseway.__path__, "leaseway."):
        importlib.import_module(module.name)

    drawn = [line for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]

    expected = list(draw(LeasewayError))
    assert drawn == expected, "draw it so in leaseway/errors.py:\n" + "\n".join(expected)
