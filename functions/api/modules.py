"""One script of many ES modules, so that a page makes one request.

Each request that arrives beside others may start another environment of the function: twenty modules would be as many
cold starts. Only the forms are understood that the console is written in: `import { a, b } from "./name.js";` at the
beginning of a line, and `export` before a function, a class or a const. A module becomes a function that is called
once and returns what it exports.
"""

import re
from pathlib import Path

_import = re.compile(r'^import \{([^{}]+)\} from "\./(\w+)\.js";$', re.MULTILINE)
_export = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.MULTILINE)
_other = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


class ModuleError(Exception):
    """A module is written in a form that cannot be joined with others, or they import each other in a circle."""


def join_modules(folder: Path, entry: str) -> str:
    """The module `entry` of a folder, and all that it imports, each before the modules that import it.

    Raises:
        ModuleError: an import or export of another form, or a circle; names the module.
    """
    pieces: dict[str, str | None] = {}
    _join(folder, entry, pieces)
    return "\n".join(piece for piece in pieces.values() if piece)


def _join(folder: Path, name: str, pieces: dict[str, str | None]) -> None:
    if name in pieces:
        if pieces[name] is None:
            raise ModuleError(f"{name}.js imports itself, by way of others")
        return
    pieces[name] = None
    text = (folder / f"{name}.js").read_text()
    for needed in _import.findall(text):
        _join(folder, needed[1], pieces)
    del pieces[name]  # its place is after what it needs
    pieces[name] = _function(name, text)


def _function(name: str, text: str) -> str:
    exported = ", ".join(_export.findall(text))
    body = _export.sub("", _import.sub(r"const {\1} = $\2;", text))
    if left := _other.search(body):
        raise ModuleError(f"{name}.js: {left[0]}")
    return f"const ${name} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();\n"
