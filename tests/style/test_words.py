"""Names and words: functions are named by verbs, classes by a name of their own, and prose has no private idiom."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import pytest

from style import words
from style.source_code import AREAS, PRODUCTION, ROOT, Prose, SourceFile, read_area, read_pages

# Predecessors and plans of the project that its readers have never seen.
UNKNOWN_TO_READERS = re.compile(r"\bthe seed\b|\bseeds\b|DESIGN\.md|Tasker's word", re.IGNORECASE)
CONFIGURATION = ("Makefile", "pyproject.toml", "samconfig.toml", "template.yaml")

# The most of each per area; lower them as the text improves, never raise them.
PARTICIPLES_PERCENT = {"layer and functions": 1.0, "leaseway_local": 0.6, "infra": 0.0, "tests": 0.2}
IDIOM_VARIABLES = {"layer and functions": 7, "leaseway_local": 0, "infra": 0, "tests": 10}
IDIOM_WORDS = {"layer and functions": 0, "leaseway_local": 0, "infra": 0, "tests": 5, "docs": 0}
STILTED_PHRASES = 0
REPEATED_CLASSES = 0
UNKNOWN_WORDS = 0


@pytest.fixture(scope="module")
def areas() -> dict[str, list[SourceFile]]:
    return {name: read_area(ROOT, folders) for name, folders in AREAS.items()}


@pytest.fixture(scope="module")
def prose(areas: dict[str, list[SourceFile]]) -> dict[str, list[Prose]]:
    """Docstrings and comments of each area, and the pages."""
    of_code = {
        name: list(chain.from_iterable((*module.docstrings, *module.comments) for module in modules))
        for name, modules in areas.items()
    }
    return {**of_code, "docs": read_pages(ROOT)}


@pytest.mark.parametrize("area", PARTICIPLES_PERCENT)
def test_functions_are_named_by_verbs(area: str, areas: dict[str, list[SourceFile]]) -> None:
    functions = sum(len(module.functions) for module in areas[area])
    allowed = int(PARTICIPLES_PERCENT[area] * functions / 100)
    assert_at_most(allowed, words.find_participle_functions(areas[area]))


@pytest.mark.parametrize("area", IDIOM_VARIABLES)
def test_variables_are_named_by_what_they_hold(area: str, areas: dict[str, list[SourceFile]]) -> None:
    assert_at_most(IDIOM_VARIABLES[area], words.find_idiom_variables(areas[area]))


@pytest.mark.parametrize("area", IDIOM_WORDS)
def test_prose_has_no_private_idiom(area: str, prose: dict[str, list[Prose]]) -> None:
    telling = words.find_matches(prose[area], words.TELLING)
    assert_at_most(IDIOM_WORDS[area], chain(telling, words.find_matches(prose[area], words.IDIOM_WORDS)))


def test_pages_have_no_stilted_phrases(prose: dict[str, list[Prose]]) -> None:
    assert_at_most(STILTED_PHRASES, words.find_matches(prose["docs"], words.STILTED_PHRASES))


def test_a_class_name_is_used_once_in_production_code(areas: dict[str, list[SourceFile]]) -> None:
    offenders = list(words.find_repeated_classes(chain.from_iterable(areas[name] for name in PRODUCTION)))
    names = {offender.what for offender in offenders}
    assert len(names) <= REPEATED_CLASSES, _list(offenders)


def test_text_refers_only_to_what_its_readers_can_see(prose: dict[str, list[Prose]]) -> None:
    configuration = [Prose(Path(name), 1, (ROOT / name).read_text()) for name in CONFIGURATION]
    everything = [*chain.from_iterable(prose.values()), *configuration]
    assert_at_most(UNKNOWN_WORDS, words.find_matches(everything, UNKNOWN_TO_READERS))


@pytest.mark.parametrize("name", ["stored", "_told", "withdrawn", "_changed_view", "written"])
def test_a_participle_is_recognised(name: str) -> None:
    assert words.begins_with_participle(name)


@pytest.mark.parametrize("name", ["store", "need", "feed_meter", "proceed", "is_stored", "read", "embed", "__init__"])
def test_a_verb_is_no_participle(name: str) -> None:
    assert not words.begins_with_participle(name)


def assert_at_most(allowed: int, offenders: Iterable[words.Offender]) -> None:
    offenders = sorted(offenders)
    assert len(offenders) <= allowed, f"{len(offenders)}, allowed {allowed}:\n{_list(offenders)}"


def _list(offenders: Sequence[words.Offender]) -> str:
    return "\n".join(str(offender) for offender in offenders)
