"""Layout of the tests: tests/unit mirrors the packages, and what tests share lies in tests/support."""

from collections.abc import Iterator
from pathlib import Path

from style.source_code import ROOT

UNIT = ROOT / "tests" / "unit"
# A folder of tests/unit is named as a package is below one of these.
IMPORT_ROOTS = ("layers/core/python/leaseway", "functions", "localstack", "localstack/host", "tests")
# Folders that no import path goes through, and that have tests as a whole.
WHOLE = {Path("functions"), Path("infra")}


def test_each_folder_of_unit_tests_is_named_as_the_package_that_it_tests() -> None:
    offenders = [str(folder) for folder in _folders_with_modules(UNIT) if not _mirrors_a_package(folder)]
    assert offenders == []


def test_unit_tests_lie_beside_nothing_that_is_no_test() -> None:
    modules = [path.relative_to(UNIT) for path in UNIT.rglob("*.py")]
    assert [str(path) for path in modules if not path.name.startswith("test_") and path.name != "conftest.py"] == []


def _folders_with_modules(root: Path) -> Iterator[Path]:
    yield from sorted({path.parent.relative_to(root) for path in root.rglob("*.py")} - {Path()})


def _mirrors_a_package(folder: Path) -> bool:
    return folder in WHOLE or any(list((ROOT / root / folder).glob("*.py")) for root in IMPORT_ROOTS)
