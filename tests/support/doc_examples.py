"""The runnable examples of docs/examples, and what each says that it prints."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples"

EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.name != "README.md")


def promised(path: Path) -> str:
    """A regular expression of an example's whole output, from the indented lines below `Prints:` in its header.

    `...` within a line stands for any text, and alone on a line for any lines.
    """
    lines = [line.removeprefix("#").removeprefix("//").rstrip() for line in path.read_text().splitlines()]
    begin = next((number for number, line in enumerate(lines) if line.strip() == "Prints:"), None)
    assert begin is not None, f"{path.name} does not say what it prints"
    told = []
    for line in lines[begin + 1 :]:
        if line and not line.startswith("    "):
            break
        told.append(line.strip())
    return "".join(_pattern(line) for line in "\n".join(told).strip().splitlines())


def _pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("...")) + r"\s*\n"
