"""Which names and phrases the project does not use, and where they stand."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from style.source_code import Prose, SourceFile

# Verbs and nouns that only look like a participle. "read", "run", "set", "put" and their like are imperatives too.
NO_PARTICIPLES = frozenset(
    {"bed", "embed", "exceed", "feed", "hundred", "need", "proceed", "red", "seed", "speed", "succeed"}
)
_IRREGULAR = """
    begun born bought bound bred broken brought built caught chosen dealt done drawn driven fallen felt
    forbidden forgotten found frozen given gone grown heard held hidden kept known laid led left lent
    lost made meant met overtaken paid rebuilt ridden risen rung said seen sent shaken shown slept sold
    sought spent spoken spun stolen stood struck stuck swept sworn taken taught thought thrown told torn
    understood undone unsent unwritten withdrawn woken won worn written
"""
IRREGULAR_PARTICIPLES = frozenset(_IRREGULAR.split())
IDIOM_VARIABLES = frozenset(
    {"asked", "chosen", "found", "given", "held", "kept", "made", "said", "shown", "taken", "told", "wanted"}
)
TELLING = re.compile(r"\b(?:tell|tells|told|telling)\b", re.IGNORECASE)
IDIOM_WORDS = re.compile(r"\b(?:nobody|whoever|somebody|anew|meanwhile)\b", re.IGNORECASE)
# Phrases of the pages' first version that an engineer would not write.
STILTED_PHRASES = re.compile(
    r"\b(?:any ?more|as it stands|the very|the own|of (?:its|their) own|by itself|everybody|afresh|go(?:es)? on"
    r"|where (?:there is|none)|so many (?:seconds|minutes)|beside)\b",
    re.IGNORECASE,
)
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


class Offender(NamedTuple):
    """A name or phrase, and where it stands."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        """As an editor's `path:line: text`."""
        return f"{self.path}:{self.line}: {self.what}"


def begins_with_participle(name: str) -> bool:
    """Whether a function of this name is named after a state instead of what it does: `stored`, `_told`."""
    first = name.strip("_").split("_")[0].lower()
    return first in IRREGULAR_PARTICIPLES or (first.endswith("ed") and first not in NO_PARTICIPLES)


def find_participle_functions(modules: Iterable[SourceFile]) -> Iterator[Offender]:
    """Find functions whose name begins with a participle."""
    for module in modules:
        for function in module.functions:
            if begins_with_participle(function.name):
                yield Offender(module.path, function.lineno, f"function {function.name}")


def find_idiom_variables(modules: Iterable[SourceFile]) -> Iterator[Offender]:
    """Find variables and parameters named by a word such as `found` instead of what they hold."""
    for module in modules:
        for name, line in _find_assigned_names(module):
            if name.strip("_") in IDIOM_VARIABLES:
                yield Offender(module.path, line, f"variable {name}")


def find_repeated_classes(modules: Iterable[SourceFile]) -> Iterator[Offender]:
    """Find classes whose name another class of the project has as well."""
    places: defaultdict[str, list[Offender]] = defaultdict(list)
    for module in modules:
        for node in module.nodes:
            # pynamodb reads a model's settings from an inner class of this name.
            if isinstance(node, ast.ClassDef) and node.name != "Meta":
                places[node.name].append(Offender(module.path, node.lineno, f"class {node.name}"))
    for offenders in places.values():
        if len(offenders) > 1:
            yield from offenders


def find_matches(prose: Iterable[Prose], pattern: re.Pattern[str]) -> Iterator[Offender]:
    """Find `pattern` in docstrings, comments or pages."""
    for piece in prose:
        for match in pattern.finditer(piece.text):
            line = piece.line + piece.text.count("\n", 0, match.start())
            yield Offender(piece.path, line, f"word {match.group()!r}")


def count_words(prose: Iterable[Prose]) -> int:
    """Count the words of docstrings, comments or pages."""
    return sum(len(WORD.findall(piece.text)) for piece in prose)


def _find_assigned_names(module: SourceFile) -> Iterator[tuple[str, int]]:
    for node in module.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
