"""What tests share lives in tests/support: no module imports a test or a conftest."""

import ast
from collections.abc import Iterator

from style.source_code import AREAS, ROOT, SourceFile, read_area


def test_no_test_imports_a_test_or_a_conftest() -> None:
    offenders = [
        f"{module.path}:{line}: imports {name}"
        for module in read_area(ROOT, AREAS["tests"])
        for name, line in _imports(module)
        if _is_test_or_conftest(name)
    ]
    assert offenders == []


def _imports(module: SourceFile) -> Iterator[tuple[str, int]]:
    """Names of imported modules, with lines; what follows `import` counts too, for it may be a module."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _is_test_or_conftest(name: str) -> bool:
    return any(part == "conftest" or part.startswith("test_") for part in name.split("."))
