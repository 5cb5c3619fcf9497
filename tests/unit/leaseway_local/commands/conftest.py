"""What the tests of commands share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.quiet_machine import quieten


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a machine on which a command starts nothing."""
    with quieten(tmp_path, monkeypatch):
        yield tmp_path
