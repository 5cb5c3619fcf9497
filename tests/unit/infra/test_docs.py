"""What the documents say is held equal to what the project has."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from settings_reference import setting_rows
from support.doc_examples import EXAMPLES, FOLDER, read_expected_output

ROOT = Path(__file__).resolve().parents[3]


class FeatureRow(NamedTuple):
    """One line of docs/reference/compatibility.md: a feature of a kind of system, and the tests that prove it here."""

    system: str
    feature: str
    tests: list[str]


def feature_rows() -> list[FeatureRow]:
    rows, system = [], ""
    for line in (ROOT / "docs" / "reference" / "compatibility.md").read_text().splitlines():
        if line.startswith("## "):
            system = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| feature "):
            feature, _, tests = re.split(r"\s*\|\s*", line.strip("| "))
            rows.append(FeatureRow(system, feature, re.findall(r"`(tests/[\w/]+\.py::\w+)`", tests)))
    return rows


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """The names of a module's tests, from its source."""
    module = ROOT / path
    if not module.exists():
        return frozenset()
    functions = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_all_five_kinds_of_system_are_accounted_for() -> None:
    assert len({row.system for row in feature_rows()}) == 5
    assert len(feature_rows()) > 100


@pytest.mark.parametrize("row", feature_rows(), ids=lambda row: row.feature[:40])
def test_a_feature_names_tests_that_exist(row: FeatureRow) -> None:
    missing = [name for name in row.tests if name.partition("::")[2] not in names_of_tests(name.partition("::")[0])]

    assert row.tests
    assert missing == []


def test_every_setting_gives_its_reason() -> None:
    assert [row.variable for row in setting_rows(ROOT / "template.yaml") if len(row.reason) < 20] == []


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.name
)
def test_a_link_between_documents_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_list_of_examples_is_the_folder() -> None:
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| .+ \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert listed == [(example.name, example.name) for example in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_begins_with_what_it_prints(example: Path) -> None:
    assert read_expected_output(example)


def test_the_page_on_deployment_explains_changes_of_tables_that_hold_data() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    _, _, section = page.partition("## Changing tables that hold data")

    assert all(f"**{change}" in section for change in ("A new attribute", "A new index", "Another key schema"))
    for parameter in re.findall(r"`([A-Z][A-Za-z]+)`", page):
        assert f"  {parameter}:" in (ROOT / "template.yaml").read_text(), parameter


def test_each_decision_is_numbered_in_a_row_and_listed_under_its_title() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[!R]*.md"))
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()

    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \|$", index, re.MULTILINE)

    assert [number for number, _, _ in listed] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    assert [(file, f"# {number}: {title}") for number, file, title in listed] == [
        (record.name, record.read_text().splitlines()[0]) for record in records
    ]


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.name
)
def test_a_page_names_files_that_exist(page: Path) -> None:
    named = re.findall(r"(?<!Write )`((?:tests|functions|layers|infra|localstack|docs)/[\w./-]+)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_index_lists_every_page() -> None:
    docs = ROOT / "docs"
    index = docs / "index.md"

    linked = {(docs / link).resolve() for link in re.findall(r"\]\(([^)#]+)", index.read_text())}

    single_decisions = set((docs / "decisions").glob("[0-9]*.md"))
    assert set(docs.rglob("*.md")) - single_decisions - {index} <= linked


def test_the_walks_through_the_code_name_files_that_exist() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    _, _, walks = page.partition("## Three walks")

    files = [
        name.replace("leaseway/", "layers/core/python/leaseway/", 1) if name.startswith("leaseway/") else name
        for name in re.findall(r"`((?:functions|leaseway)/[\w/]+\.py)`", walks)
    ]

    assert len(files) > 30
    assert [file for file in files if not (ROOT / file).exists()] == []
