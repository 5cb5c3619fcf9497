"""Build the contents of the layers and of the functions' archive.

It runs in two places with the same result: the deployer calls it, and so do the layers' Makefiles, as a script, when
`sam build` packages for AWS. So it needs the standard library and `uv` only. It has two targets: `laptop`, which is
this machine's own interpreter, and `lambda`, which is the functions' runtime and architecture.
"""

import argparse
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RUNTIME_REQUIREMENTS = ROOT / "layers" / "runtime" / "requirements.txt"
CORE_SOURCE = ROOT / "layers" / "core" / "python"
FUNCTIONS_SOURCE = ROOT / "functions"

TARGETS = ("laptop", "lambda")
LAMBDA_PLATFORM = "x86_64-manylinux2014"  # python3.11 runs on Amazon Linux 2, whose glibc is 2.26
PYTHON_VERSION = "3.11"

BOTOCORE_SERVICES = frozenset({"dynamodb", "sqs", "s3", "secretsmanager"})
"""The services whose descriptions stay in the layer; botocore ships hundreds."""

_NEVER_NEEDED = ("**/__pycache__", "**/tests", "**/*.pyi", "**/*.pyx", "**/*.pxd", "**/*.c", "bin", "*/RECORD")
# Parts of packages that no function imports, named because they are large.
_UNUSED_PARTS = (
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parser",
    "flask_swagger_ui/templates",
    "flask_swagger_ui/dist/swagger-ui.js",
    "flask_swagger_ui/dist/swagger-ui-standalone-preset.js",
    "uplot/[a-z]*.py",
    "uplot/static/uPlot.mousewheel.js",
    "chalice/cdk",
    "chalice/cli",
    "chalice/deploy",
    "chalice/package.py",
    "chalice/pipeline.py",
    "chalice/templates",
    "PIL/_avif*.so",
    "PIL/_imagingtk*.so",
    "pillow.libs/libavif*",
)


class RecipeError(Exception):
    """A layer could not be built; carries the failed command and its output."""


def build_runtime(destination: Path, *, target: str) -> None:
    """Put the pinned third-party packages into `destination`/python, without what no function uses."""
    python = destination / "python"
    _install(python, target)
    for pattern in (*_NEVER_NEEDED, *_UNUSED_PARTS):
        for path in list(python.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for service in (python / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in BOTOCORE_SERVICES:
            shutil.rmtree(service)
    compile_tree(python)


def build_core(destination: Path, *, target: str) -> None:
    """Put the package `leaseway` into `destination`/python; the same for every target."""
    del target
    copy_sources(CORE_SOURCE, destination / "python")
    compile_tree(destination / "python", CORE_SOURCE)


def build_functions(destination: Path, *, overlay: Path | None = None) -> None:
    """Put the functions' code into `destination`; `overlay` is a folder copied over it, with job types for a test."""
    copy_sources(FUNCTIONS_SOURCE, destination)
    if overlay:
        copy_sources(overlay, destination)
    compile_tree(destination, *([overlay] if overlay else []), FUNCTIONS_SOURCE)


def sources(folder: Path) -> Iterable[Path]:
    """The files below `folder` that are packaged, in a fixed order."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and path.name != "Makefile"
        and not path.name.startswith(".")
        and "egg-info" not in str(path)
    )


def copy_sources(source: Path, destination: Path) -> None:
    """Copy what is packaged; existing files are replaced."""
    for path in sources(source):
        copy = destination / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def compile_tree(folder: Path, *origins: Path) -> None:
    """Compile every module in place: it halves the cold start.

    The compiled files carry no time and are never compared with their source, so they are the same at every build.

    Raises:
        RecipeError: a module does not compile; names its file in the first of `origins` that has it, and the line.
    """
    compiled = compileall.compile_dir(
        folder,
        quiet=2,
        workers=os.cpu_count() or 1,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        stripdir=str(folder),
    )
    if not compiled:
        raise RecipeError(_find_syntax_error(folder, origins))


def _find_syntax_error(folder: Path, origins: Iterable[Path]) -> str:
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        original = next((origin / name for origin in origins if (origin / name).exists()), name)
        source = path.read_bytes()
        try:
            compile(source, str(original), "exec")
        except SyntaxError as problem:
            return f"{original}, line {problem.lineno or _find_unparsed_line(source)}: {problem.msg}"
        except (ValueError, MemoryError, RecursionError) as problem:
            return f"{original}, line {_find_unparsed_line(source)}: {problem or 'nested too deeply'}"
    return "a module does not compile"


def _find_unparsed_line(source: bytes) -> int:
    """Find the line of a null byte or of the declared encoding: of these the parser names no line."""
    if b"\0" in source:
        return source.count(b"\n", 0, source.index(b"\0")) + 1
    first_lines = enumerate(source.splitlines()[:2], 1)
    return next((number for number, line in first_lines if b"coding" in line), 1)


def _install(python: Path, target: str) -> None:
    platform = ["--python-platform", LAMBDA_PLATFORM, "--only-binary", ":all:"] if target == "lambda" else []
    command = [_find_uv(), "pip", "install", "--quiet", "--no-deps", "--link-mode", "copy", "--target", str(python)]
    command += ["--python-version", PYTHON_VERSION, *platform, "--requirement", str(RUNTIME_REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise RecipeError(f"uv could not install the runtime layer's packages:\n{done.stderr.strip()}")


def _find_uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if not uv:
        raise RecipeError("uv is not installed; `make setup` installs it")
    return uv


_RECIPES: dict[str, Callable[..., None]] = {
    "runtime": build_runtime,
    "core": build_core,
    "functions": lambda destination, target: build_functions(destination),  # the same for every target
}


def main() -> None:
    """`layers.py runtime|core|functions FOLDER [--target lambda]`, for the Makefiles."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("archive", choices=sorted(_RECIPES))
    arguments.add_argument("destination", type=Path)
    arguments.add_argument("--target", choices=TARGETS, default="lambda")
    options = arguments.parse_args()
    try:
        _RECIPES[options.archive](options.destination, target=options.target)
    except RecipeError as problem:
        sys.exit(f"layers.py: {problem}")


if __name__ == "__main__":
    main()
