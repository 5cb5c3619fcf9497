"""Measure the project's style.

`make style-figures` prints two tables; with FIGURES_ARGS="--offenders functions/api" it lists one folder's offenders.
"""

import argparse
import statistics
import sys
import tomllib
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import grimp

from style import words
from style.source_code import AREAS, PRODUCTION, ROOT, Function, Prose, SourceFile, read_area, read_pages

LONG_FUNCTION = 35
LONG_MODULE = 250
LONG_LINE = 100

Row = tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables, or the offenders of one folder."""
    options = _parser().parse_args(arguments)
    if options.offenders:
        print_offenders(options.root, options.offenders)
    else:
        print_figures(options.root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make style-figures", description="Measure the project's style.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to measure (default: this one)")
    parser.add_argument("--offenders", metavar="FOLDER", help="list the folder's offenders as file:line instead")
    return parser


def print_figures(root: Path) -> None:
    """Print the sizes of every area, then its names and words."""
    areas = {name: read_area(root, folders) for name, folders in AREAS.items()}
    _print_table([SIZES, *(_sizes_row(name, modules) for name, modules in areas.items())])
    print()
    pages = read_pages(root)
    rows = [_words_row(name, modules) for name, modules in areas.items()]
    _print_table([WORDS, *rows, _pages_row("docs", pages)])
    print()
    production = [module for name in PRODUCTION for module in areas[name]]
    for line in _project_lines(root, production, list(chain.from_iterable(areas.values()))):
        print(line)


def print_offenders(root: Path, folder: str) -> None:
    """Print the names and words of one folder (or page) that the style does not want, as `path:line: what`."""
    modules = read_area(root, (folder,))
    pages = [page for page in read_pages(root) if page.path.is_relative_to(folder)]
    offenders = chain(
        words.find_participle_functions(modules),
        words.find_idiom_variables(modules),
        _find_repeated_below(root, folder),
        words.find_matches(_prose([*modules], pages), words.TELLING),
        words.find_matches(_prose([*modules], pages), words.IDIOM_WORDS),
        words.find_matches(pages, words.STILTED_PHRASES),
    )
    for offender in sorted(offenders):
        print(offender)


def _find_repeated_below(root: Path, folder: str) -> list[words.Offender]:
    production = [module for name in PRODUCTION for module in read_area(root, AREAS[name])]
    return [each for each in words.find_repeated_classes(production) if each.path.is_relative_to(folder)]


# --- Sizes

SIZES: Row = (
    "area",
    "modules",
    "lines",
    "module med/p90/max",
    "functions",
    "function lines med/p90/max",
    f"> {LONG_FUNCTION}",
    "comments",
    "docstrings",
    "returns annotated",
    "annotated",
    f"lines > {LONG_LINE}",
)


def _sizes_row(name: str, modules: Sequence[SourceFile]) -> Row:
    lines = sum(len(module.lines) for module in modules)
    functions = [function for module in modules for function in module.functions]
    lengths = [measure_function(function) for function in functions]
    return (
        name,
        str(len(modules)),
        f"{lines:,}",
        _spread([len(module.lines) for module in modules]),
        f"{len(functions):,}",
        _spread(lengths),
        str(sum(length > LONG_FUNCTION for length in lengths)),
        _share(sum(len(module.comments) for module in modules), lines),
        _share(sum(piece.text.count("\n") + 1 for module in modules for piece in module.docstrings), lines),
        _share(sum(function.returns is not None for function in functions), len(functions)),
        _share(sum(is_annotated(function) for function in functions), len(functions)),
        _share(sum(len(line) > LONG_LINE for module in modules for line in module.lines), lines),
    )


def measure_function(function: Function) -> int:
    """Lines of a function from its `def` to its end, docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_annotated(function: Function) -> bool:
    """Whether what a function returns and each of its parameters, except `self` and `cls`, has a type."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    typed = all(each.annotation for each in parameters if each and each.arg not in {"self", "cls"})
    return function.returns is not None and typed


# --- Names and words

WORDS: Row = (
    "area",
    "participle functions",
    "idiom variables per 1,000 lines",
    "words of prose",
    "tell/told per 1,000 words",
    "nobody/anew/... per 1,000 words",
)


def _words_row(name: str, modules: Sequence[SourceFile]) -> Row:
    named = sum(len(module.functions) for module in modules)
    participles = len(list(words.find_participle_functions(modules)))
    variables = len(list(words.find_idiom_variables(modules)))
    lines = sum(len(module.lines) for module in modules)
    return (
        name,
        f"{participles} of {named:,} = {_share(participles, named)}",
        f"{variables} = {_per_thousand(variables, lines)}",
        *_prose_cells(_prose(modules)),
    )


def _pages_row(name: str, pages: Sequence[Prose]) -> Row:
    return (name, "", "", *_prose_cells(pages))


def _prose_cells(prose: Sequence[Prose]) -> Row:
    total = words.count_words(prose)
    counts = [len(list(words.find_matches(prose, pattern))) for pattern in (words.TELLING, words.IDIOM_WORDS)]
    return (f"{total:,}", *(f"{count} = {_per_thousand(count, total)}" for count in counts))


def _prose(modules: Iterable[SourceFile], pages: Iterable[Prose] = ()) -> list[Prose]:
    return [*chain.from_iterable((*module.docstrings, *module.comments) for module in modules), *pages]


# --- The project as a whole


def _project_lines(root: Path, production: Sequence[SourceFile], everything: Sequence[SourceFile]) -> list[str]:
    repeated = sorted({offender.what.removeprefix("class ") for offender in words.find_repeated_classes(production)})
    long = sorted((len(module.lines), str(module.path)) for module in everything if len(module.lines) > LONG_MODULE)
    return [
        f"Class names used more than once in production code: {len(repeated)} ({', '.join(repeated)})",
        f"Imports that import-linter ignores: {count_ignored_imports(root)}",
        f"Modules over {LONG_MODULE} lines: {len(long)}",
        *(f"  {lines} {path}" for lines, path in reversed(long)),
    ]


def count_ignored_imports(root: Path) -> int:
    """Count the imports that are exceptions to the import contracts of pyproject.toml, each contract for itself."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    sys.path[:0] = [str(root / folder) for folder in ("layers/core/python", "functions", "localstack")]
    graph = grimp.build_graph(*settings["root_packages"], cache_dir=None)
    patterns = [pattern for contract in settings["contracts"] for pattern in contract.get("ignore_imports", ())]
    return sum(len(graph.find_matching_direct_imports(pattern)) for pattern in patterns)


# --- Cells


def _spread(values: Sequence[int]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} / {ordered[len(ordered) * 9 // 10]} / {ordered[-1]}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%"


def _per_thousand(count: int, whole: int) -> str:
    return f"{1000 * count / whole:.1f}"


def _print_table(rows: Sequence[Row]) -> None:
    """Print `rows` as a Markdown table, the first as its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


if __name__ == "__main__":
    main()
