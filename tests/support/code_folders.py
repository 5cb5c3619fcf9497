"""The folders into which tests unpack what the deployer packages."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CodeFolders:
    """Folders: layers as they lie under /opt, the functions' code as it lies under /var/task."""

    runtime: Path
    core: Path
    functions: Path

    @property
    def path(self) -> list[str]:
        """`sys.path` of a function, without the standard library."""
        return [str(self.runtime / "python"), str(self.core / "python"), str(self.functions)]
