"""Paging, repeating and waiting are written once, in `leaseway.dynamodb`; every other module of the layer uses it."""

import ast
from collections.abc import Iterator
from pathlib import Path

LAYER = Path(__file__).resolve().parents[3] / "layers/core/python/leaseway"
CLOCK = LAYER / "clock.py"

_NAMES = {"LastEvaluatedKey", "UnprocessedKeys", "UnprocessedItems"}
_CALLS = {("time", "sleep"), ("random", "uniform"), ("random", "random")}


def machinery(source: str) -> Iterator[str]:
    """What a module writes itself that `leaseway.dynamodb` is for."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(name)) if name in _NAMES:
                yield name
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in _CALLS:
                yield f"{module}.{name}"
            case ast.Call(func=ast.Attribute(attr="attempts")):
                yield "Backoff.attempts"
            case ast.For(target=ast.Name(id="_"), iter=ast.Call(func=ast.Name(id="range"))):
                yield "tries"
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{each.name}" for each in names if (module, each.name) in _CALLS)


def test_no_module_above_the_dynamodb_floor_pages_repeats_or_sleeps_itself() -> None:
    modules = [path for path in LAYER.rglob("*.py") if path.parent.name != "dynamodb" and path != CLOCK]
    writing = {str(path.relative_to(LAYER)): sorted(set(machinery(path.read_text()))) for path in modules}

    assert {module: names for module, names in writing.items() if names} == {}


def test_each_way_to_write_it_is_noticed() -> None:
    source = 'import time\nfrom random import uniform\ntime.sleep(uniform(0, 1))\nanswer.get("LastEvaluatedKey")\n'
    source += "for _ in _BACKOFF.attempts(6): job.attempts\nfor _ in range(_TRIES): write()\n"

    expected = ["Backoff.attempts", "LastEvaluatedKey", "random.uniform", "time.sleep", "tries"]
    assert sorted(machinery(source)) == expected
