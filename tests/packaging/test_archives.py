"""What is in the archives, and that equal content makes equal archives."""

import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Never

import pytest

from leaseway_local.deployment import layers, packaging
from leaseway_local.engine.paths import ROOT
from leaseway_local.errors import LocalCloudError
from support.code_folders import CodeFolders

UNCHECKED_HASH = 0b01  # flags of a .pyc that is never compared with its source


def test_every_module_is_compiled_and_never_checked_against_its_source(code_folders: CodeFolders) -> None:
    for folder in (code_folders.runtime, code_folders.core, code_folders.functions):
        modules = list(folder.rglob("*.py"))
        assert modules
        for module in modules:
            compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-311.pyc"
            assert compiled.exists(), f"{module} is not compiled"
            assert struct.unpack("<I", compiled.read_bytes()[4:8])[0] == UNCHECKED_HASH


def test_botocore_describes_only_the_services_in_use(code_folders: CodeFolders) -> None:
    data = code_folders.runtime / "python" / "botocore" / "data"

    assert {folder.name for folder in data.iterdir() if folder.is_dir()} == layers.BOTOCORE_SERVICES


def test_the_runtime_layer_stays_small(code_folders: CodeFolders) -> None:
    """Lambda refuses 250 MB, and a warm function's process unpacks the layer each time it starts."""
    size = sum(file.stat().st_size for file in code_folders.runtime.rglob("*") if file.is_file())

    assert size < 40_000_000


def test_the_layers_hold_no_tools_and_no_tests(code_folders: CodeFolders) -> None:
    for layer in (code_folders.runtime, code_folders.core):
        top = {entry.name for entry in (layer / "python").iterdir()}
        assert not top & {"boto3", "pip", "setuptools", "click", "inquirer", "pytest", "moto", "leaseway_local", "bin"}
        assert not [folder for folder in layer.rglob("tests") if folder.is_dir()]


def test_equal_content_is_built_once_and_makes_equal_bytes(tmp_path: Path) -> None:
    first = packaging.build_core_layer(cache=tmp_path / "one")
    again = packaging.build_core_layer(cache=tmp_path / "one")
    elsewhere = packaging.build_core_layer(cache=tmp_path / "two")

    assert (first.built, again.built, elsewhere.built) == (True, False, True)
    assert first.key == again.key == elsewhere.key
    assert first.sha256() == elsewhere.sha256()


@pytest.mark.parametrize(
    ("makefile", "target", "folder"),
    [("functions", "build-ApiFunction", "functions"), ("layers/core", "build-CoreLayer", "core")],
)
def test_sam_builds_what_the_deployer_builds(
    makefile: str, target: str, folder: str, code_folders: CodeFolders, tmp_path: Path
) -> None:
    """`sam build` runs these Makefiles; the runtime layer's differs from the laptop's by its platform."""
    command = [
        "make",
        "--file",
        ROOT / makefile / "Makefile",
        target,
        f"ARTIFACTS_DIR={tmp_path}",
        f"PYTHON={sys.executable}",
    ]
    subprocess.run(command, check=True, cwd=tmp_path)

    packaged = getattr(code_folders, folder)
    assert names(tmp_path) == names(packaged)
    sources = [name for name in names(packaged) if name.suffix != ".pyc"]  # sets are compiled in any order
    assert all((tmp_path / name).read_bytes() == (packaged / name).read_bytes() for name in sources)


def names(folder: Path) -> set[Path]:
    return {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}


def test_an_overlay_is_laid_over_the_functions_and_changes_the_key(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    (overlay / "more_executors").mkdir(parents=True)
    (overlay / "more_executors" / "__init__.py").write_text('"""Job types of a test."""\n')

    plain = packaging.build_functions(cache=tmp_path / "cache")
    laid_over = packaging.build_functions(cache=tmp_path / "cache", overlay=overlay)

    assert plain.key != laid_over.key
    with zipfile.ZipFile(laid_over.path) as archive:
        assert {"more_executors/__init__.py", "api/__init__.py"} <= set(archive.namelist())


def test_a_failed_build_leaves_no_archive_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_folder: Path, *_origins: object) -> Never:
        raise layers.RecipeError("does not compile")

    monkeypatch.setattr(layers, "compile_tree", refuse)

    with pytest.raises(LocalCloudError, match="does not compile"):
        packaging.build_core_layer(cache=tmp_path)

    assert list(tmp_path.iterdir()) == []
