"""The runnable examples of docs/examples, and the output that each documents."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples"

EXAMPLES = sorted(path for path in FOLDER.iterdir() if path.is_file() and path.name != "README.md")


def read_expected_output(path: Path) -> str:
    """Return a regular expression of an example's whole output, from the indented lines below `Prints:` in its header.

    `...` within a line stands for any text, and alone on a line for any lines.
    """
    lines = [line.removeprefix("#").removeprefix("//").rstrip() for line in path.read_text().splitlines()]
    begin = next((number for number, line in enumerate(lines) if line.strip() == "Prints:"), None)
    assert begin is not None, f"{path.name} does not say what it prints"
    expected_lines = []
    for line in lines[begin + 1 :]:
        if line and not line.startswith("    "):
            break
        expected_lines.append(line.strip())
    return "".join(_make_pattern(line) for line in "\n".join(expected_lines).strip().splitlines())


def _make_pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    return ".*".join(re.escape(part) for part in line.split("...")) + r"\s*\n"
