"""The job type of docs/quickstart.md passes the checks that every job type of this project has to pass."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "quickstart.md"
PROGRAM = """
import json, sys
before = set(sys.modules)
from leaseway.jobs.types import catalogue
shout = catalogue()["SHOUT"]
from api.app import blueprints
from openapi_document import openapi_document
document = openapi_document(blueprints.whole_app())
example = document["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]["SHOUT"]
payload = shout.parse(example["value"]["payload"])
print(json.dumps({"result": shout.run(payload, None), "schema": document["components"]["schemas"]["ShoutPayload"]}))
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the page has its reader write, in a copy of the functions."""
    page = PAGE.read_text()
    (name,) = re.findall(r"Write `functions/(worker/executors/\w+\.py)`", page)
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    functions = tmp_path_factory.mktemp("quickstart") / "functions"
    shutil.copytree(ROOT / "functions", functions, ignore=shutil.ignore_patterns("__pycache__"))
    written = functions / name
    written.write_text(code)
    return written


@pytest.fixture(scope="module")
def quickstart_output(module: Path) -> Any:
    """What the type does with its own example, and its schema in the OpenAPI document."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PYTHONPATH": ":".join(map(str, (module.parents[2], ROOT / "infra", ROOT / "layers/core/python"))),
            "EXECUTORS_PACKAGE": "worker.executors",
        },
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_its_example_is_in_the_document_and_runs(quickstart_output: Any) -> None:
    assert quickstart_output["result"] == {"text": "HELLO!"}


def test_its_field_is_described(quickstart_output: Any) -> None:
    assert quickstart_output["schema"]["properties"]["text"]["description"]


def test_the_file_is_named_as_its_type(module: Path) -> None:
    assert f'JobType("{module.stem.upper()}"' in module.read_text()


def test_it_passes_the_linter(module: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--config", str(ROOT / "pyproject.toml")]
        done = subprocess.run([*ruff, str(module)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_its_reader_generate() -> None:
    assert "make generate" in PAGE.read_text()
