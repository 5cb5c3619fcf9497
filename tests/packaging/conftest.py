"""What the deployer packages, unpacked the way Lambda unpacks it."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from leaseway_local import packaging, template


@dataclass(frozen=True)
class Unpacked:
    """Folders: layers as they lie under /opt, the functions' code as it lies under /var/task."""

    runtime: Path
    core: Path
    functions: Path

    @property
    def path(self) -> list[str]:
        """`sys.path` of a function, without the standard library."""
        return [str(self.runtime / "python"), str(self.core / "python"), str(self.functions)]


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory) -> Unpacked:
    root = tmp_path_factory.mktemp("unpacked")
    archives = {
        "runtime": packaging.runtime_layer(),
        "core": packaging.core_layer(),
        "functions": packaging.functions(),
    }
    for name, archive in archives.items():
        with zipfile.ZipFile(archive.path) as found:
            found.extractall(root / name)
    return Unpacked(*(root / name for name in archives))


@pytest.fixture(scope="session")
def described() -> dict:
    """template.yaml, with long forms only."""
    return template.read()
