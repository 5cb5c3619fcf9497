"""What the deployer packages, unpacked the way Lambda unpacks it."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from samtranslator.translator.transform import transform

from leaseway_local.deployment import packaging, template
from support.code_folders import CodeFolders
from support.template_lookup import find_resources


@pytest.fixture(scope="session")
def code_folders(tmp_path_factory: pytest.TempPathFactory) -> CodeFolders:
    root = tmp_path_factory.mktemp("unpacked")
    archives = {
        "runtime": packaging.build_runtime_layer(),
        "core": packaging.build_core_layer(),
        "functions": packaging.build_functions(),
    }
    for name, archive in archives.items():
        with zipfile.ZipFile(archive.path) as zipped:
            zipped.extractall(root / name)
    return CodeFolders(*(root / name for name in archives))


@pytest.fixture(scope="session")
def in_a_bare_interpreter(code_folders: CodeFolders) -> Callable[..., Any]:
    """Runs a script with nothing but what is packaged: it is given the path and more arguments, and prints JSON."""
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        **dict.fromkeys(("ACCOUNTS_TABLE", "JOBS_TABLE", "TOTALS_TABLE", "BUCKET", "CURSOR_SECRET"), "x"),
        "JOBS_QUEUE_URL": "http://127.0.0.1:9/000000000000/jobs",
    }

    def run(script: str, *arguments: str) -> Any:
        # The interpreter that the virtual environment was made from, isolated (-I) and without site-packages (-S).
        done = subprocess.run(
            [os.path.realpath(sys.executable), "-I", "-S", "-c", script, json.dumps(code_folders.path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
            cwd=code_folders.functions.parent,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def sam_template() -> dict:
    """template.yaml, with long forms only."""
    return template.read()


@pytest.fixture(scope="session")
def cloudformation_template(sam_template: dict[str, Any]) -> dict[str, Any]:
    """What SAM makes of the template, with its gateway document included as CloudFormation includes it."""
    code = "s3://bucket/code.zip"
    packaged = template.package(
        sam_template,
        template.Locations({"layers/core/": code, "layers/runtime/": code}, code, "s3://bucket/gateway.yaml"),
    )
    body = yaml.safe_load(template.gateway_path(sam_template).read_text())
    for resource in find_resources(packaged, template.API_TYPE).values():
        resource["Properties"]["DefinitionBody"] = body

    class NoManagedPolicies:
        @staticmethod
        def load() -> dict[str, str]:
            return {}

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return transform(packaged, {}, NoManagedPolicies())
