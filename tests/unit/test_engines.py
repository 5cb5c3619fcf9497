"""No code knows which engine runs it, and what the engines do differently stands in a table, held by tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "reference" / "engines.md"
ENGINES = re.compile(r"localstack|ministack|\bmoto\b|LEASEWAY_ENGINE|AWS_ENDPOINT_URL|AWS_SAM_LOCAL", re.IGNORECASE)


def rows() -> list[tuple[str, list[tuple[str, str]]]]:
    """The table's lines: what differs, and the tests that hold it."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ") and "`tests/" in line]
    return [(line.strip("| ").split(" | ")[0], re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", line)) for line in lines]


def find_marks() -> Iterator[tuple[str, str]]:
    """Modules and tests that are marked for one engine, as (path, test or empty)."""
    for file in sorted((ROOT / "tests" / "integration").glob("test_*.py")):
        path = str(file.relative_to(ROOT))
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node).startswith("pytestmark = pytest.mark.only_on"):
                yield path, ""
            elif isinstance(node, ast.FunctionDef) and any("only_on" in ast.unparse(d) for d in node.decorator_list):
                yield path, node.name


@pytest.mark.parametrize("folder", ["layers/core/python/leaseway", "functions"])
def test_what_runs_on_lambda_knows_no_engine(folder: str) -> None:
    sources = [file for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts]
    mentions = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in sources
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if ENGINES.search(line)
    ]

    assert len(sources) > 20
    assert mentions == []


def test_every_difference_is_held_by_a_test_that_exists() -> None:
    assert len(rows()) > 8
    for difference, tests in rows():
        assert tests, difference
        for path, name in tests:
            source = (ROOT / path).read_text()
            assert not name or f"def {name}(" in source, f"{difference}: {path}::{name}"


def test_a_test_that_one_engine_only_can_pass_has_its_line_in_the_table() -> None:
    named = {test for _, tests in rows() for test in tests}

    assert [test for test in find_marks() if test not in named] == []
    assert list(find_marks()), "the marks are found"
