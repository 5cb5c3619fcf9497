"""What the documents say is held equal to what the project has."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from settings_reference import setting_rows
from support.doc_examples import EXAMPLES, FOLDER, promised

ROOT = Path(__file__).resolve().parents[3]
FIRST_LATER_ISSUE = 3


class SeedRow(NamedTuple):
    """One line of docs/reference/seeds.md: a seed's feature, where it is, and the tests or the issue that hold it."""

    seed: str
    feature: str
    tests: list[str]
    issue: int | None


def seed_rows() -> list[SeedRow]:
    rows, seed = [], ""
    for line in (ROOT / "docs" / "reference" / "seeds.md").read_text().splitlines():
        if line.startswith("## "):
            seed = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| feature "):
            feature, _, held_by = re.split(r"\s*\|\s*", line.strip("| "))
            issue = re.fullmatch(r"issue (\d+)", held_by)
            tests = re.findall(r"`(tests/[\w/]+\.py::\w+)`", held_by)
            rows.append(SeedRow(seed, feature, tests, int(issue[1]) if issue else None))
    return rows


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """The names of a module's tests, from its source."""
    module = ROOT / path
    if not module.exists():
        return frozenset()
    functions = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_all_five_seeds_are_accounted_for():
    assert len({row.seed for row in seed_rows()}) == 5
    assert len(seed_rows()) > 100


@pytest.mark.parametrize("row", seed_rows(), ids=lambda row: row.feature[:40])
def test_a_feature_of_a_seed_names_tests_that_exist_or_the_issue_that_brings_it(row):
    missing = [name for name in row.tests if name.partition("::")[2] not in names_of_tests(name.partition("::")[0])]

    assert missing == []
    if row.issue is None:
        assert row.tests, "what is built has a test"
    else:
        assert row.issue >= FIRST_LATER_ISSUE
        assert not row.tests


def test_every_setting_gives_its_reason():
    assert [row.variable for row in setting_rows(ROOT / "template.yaml") if len(row.reason) < 20] == []


@pytest.mark.parametrize(
    "page", sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]), ids=lambda page: page.name
)
def test_a_link_between_documents_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_list_of_examples_is_the_folder():
    listed = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| .+ \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)

    assert listed == [(example.name, example.name) for example in EXAMPLES]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_begins_with_what_it_prints(example):
    assert promised(example)


def test_the_page_on_deployment_tells_how_to_change_tables_that_hold_data():
    page = (ROOT / "docs" / "deploy.md").read_text()
    _, _, told = page.partition("## Changing tables that hold data")

    assert all(f"**{change}" in told for change in ("A new attribute", "A new index", "Another key schema"))
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
