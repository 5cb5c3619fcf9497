"""A test's parameters are the same in every process that collects it: pytest-xdist refuses to run them otherwise."""

import ast
from collections.abc import Iterator

import pytest

from style.source_code import AREAS, ROOT, SourceFile, read_area

# What answers differently in the next process or second, by the last two parts of its dotted name.
_UNREPEATABLE = {
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "os.getpid",
    "os.urandom",
    "time.monotonic",
    "time.time",
    "time.time_ns",
    "uuid.uuid1",
    "uuid.uuid4",
}
_UNREPEATABLE_MODULES = {"random", "secrets"}


def test_parameters_are_the_same_in_every_process() -> None:
    offenders = [
        f"{module.path}:{line}: {name}"
        for module in read_area(ROOT, AREAS["tests"])
        for name, line in _unrepeatable_calls(module)
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("[gzip.compress(b'x')]", "gzip.compress"),
        ("[uuid.uuid4().hex]", "uuid.uuid4"),
        ("[secrets.token_hex(4)]", "secrets.token_hex"),
        ("[datetime.datetime.now(UTC)]", "datetime.datetime.now"),
        ("{'a', 'b'}", "a set"),
        ("[gzip.compress(b'x', mtime=0)]", None),
        ("sorted({'a', 'b'})", None),
        ("[pytest.param(lambda: uuid.uuid4(), id='new')]", None),
        ("[1, 'one']", None),
    ],
)
def test_the_search_knows_what_differs(argument: str, name: str | None) -> None:
    text = f"@pytest.mark.parametrize('value', {argument})\ndef test(value): ..."
    calls = [call for call, _ in _unrepeatable_calls(SourceFile(ROOT / "tests" / "example.py", text))]
    assert calls == ([name] if name else [])


def _unrepeatable_calls(module: SourceFile) -> Iterator[tuple[str, int]]:
    """Names of calls, and sets in their own order, in the module's parametrize decorators, with their lines."""
    for decorator in module.nodes:
        if not (isinstance(decorator, ast.Call) and ast.unparse(decorator.func).endswith("parametrize")):
            continue
        if len(decorator.args) > 1 and isinstance(decorator.args[1], ast.Set | ast.SetComp):
            yield "a set", decorator.lineno
        for node in _walk_outside_lambdas(decorator):
            if isinstance(node, ast.Call) and _differs(node):
                yield ast.unparse(node.func), node.lineno


def _walk_outside_lambdas(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it, but what a lambda calls only when the test runs."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from _walk_outside_lambdas(child)


def _differs(call: ast.Call) -> bool:
    """Whether the call gives another value in another process; gzip writes the time unless mtime is given."""
    name = ast.unparse(call.func)
    if name.endswith("gzip.compress"):
        return not any(keyword.arg == "mtime" for keyword in call.keywords)
    parts = name.split(".")
    return ".".join(parts[-2:]) in _UNREPEATABLE or parts[0] in _UNREPEATABLE_MODULES
