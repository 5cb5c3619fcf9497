"""What the build of LocalStack changes in what it installed."""

import os
from pathlib import Path

import pytest

from leaseway_local.localstack import build


def test_on_python_3_11_one_module_is_mended_and_the_installers_cache_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = "from threading import Lock\n\n\ndef install(lock: Lock | None = None): ...\n"
    module = tmp_path / "venv/lib/python3.11/site-packages/localstack/packages/api.py"
    module.parent.mkdir(parents=True)
    cached = tmp_path / "cached.py"
    cached.write_text(source)
    os.link(cached, module)
    monkeypatch.setattr(build, "PYTHON", tmp_path / "venv" / "bin" / "python")

    build._mend()

    names = {}
    exec(compile(module.read_text(), "api.py", "exec"), names)
    assert names["install"].__annotations__ == {"lock": "Lock | None"}
    assert cached.read_text() == source
