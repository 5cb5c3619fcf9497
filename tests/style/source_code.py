"""The project's Python modules and Markdown pages, parsed for measuring: their functions and their prose."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What runs on AWS, what runs on a developer's machine, what generates documents, and the tests.
AREAS = {
    "layer and functions": ("layers/core/python", "functions"),
    "leaseway_local": ("localstack/leaseway_local",),
    "infra": ("infra",),
    "tests": ("tests",),
}
PRODUCTION = ("layer and functions", "leaseway_local")
PAGES = ("*.md", "docs/**/*.md")

_CODE_IN_MARKDOWN = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Prose:
    """A docstring, a comment or a page, and the line on which it begins."""

    path: Path
    line: int
    text: str


@dataclass(frozen=True)
class SourceFile:
    """A Python module with its syntax tree."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The module's syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """The module's lines without their ends."""
        return self.text.splitlines()

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of the syntax tree."""
        return list(ast.walk(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        """Functions and methods, nested ones too."""
        return [node for node in self.nodes if isinstance(node, Function)]

    @cached_property
    def comments(self) -> list[Prose]:
        """Comments, directives to tools included."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        return [Prose(self.path, token.start[0], token.string.lstrip("# ")) for token in comments]

    @cached_property
    def docstrings(self) -> list[Prose]:
        """Docstrings of the module, its classes and its functions."""
        return list(self._docstrings())

    def _docstrings(self) -> Iterator[Prose]:
        for node in self.nodes:
            if isinstance(node, Documented) and (text := ast.get_docstring(node, clean=False)) is not None:
                yield Prose(self.path, node.body[0].lineno, text)


def read_area(root: Path, folders: tuple[str, ...]) -> list[SourceFile]:
    """Parse every module below `folders` of the checkout at `root`."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [SourceFile(path.relative_to(root), path.read_text()) for path in paths]


def read_pages(root: Path) -> list[Prose]:
    """Read the Markdown pages of the checkout at `root`, without the code in them."""
    paths = sorted({path for pattern in PAGES for path in root.glob(pattern)})
    return [Prose(path.relative_to(root), 1, _without_code(path.read_text())) for path in paths]


def _without_code(markdown: str) -> str:
    """Blank out code in `markdown` but keep its line breaks, so that line numbers stay right."""
    return _CODE_IN_MARKDOWN.sub(lambda code: "\n" * code.group().count("\n"), markdown)
